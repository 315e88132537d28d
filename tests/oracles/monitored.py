"""Policy `static` under the risk monitor (ADR-0028.7): its one plan, with `smart`'s gates, regimes, guard and takers."""

from __future__ import annotations

from . import gates as gt, topk
from .reference import ENTRY, Reference, Wanted
from .smart import Smart, SmartSymbol


class Monitored(Smart):
    """What `smart` decides from its features is `static`'s again; what protects stays."""

    def allot(self, budget: int) -> None:
        """ADR-0028.7: every symbol is chosen; what says how budgets are split binds every policy."""
        everyone = {sym.index: self.standing(sym) if sym.warm() else None for sym in self.symbols}
        parts = topk.split(self.cfg | {"top_k": len(self.symbols)}, budget, len(self.symbols), everyone)
        for sym in self.symbols:
            sym.mark.give(parts.get(sym.index, 0))

    def step7_select(self) -> None:
        """No Top-K: every symbol trades."""

    def step7_decide(self, sym: SmartSymbol) -> None:
        if sym.has_l1:  # ADR-0020.7
            Reference.step7_decide(self, sym)

    def step8_reconcile(self, sym: SmartSymbol) -> None:
        """OPEN 66: THROTTLE is what a gate alone says; `sym.throttled` is never set."""
        Reference.step8_reconcile(self, sym)

    def wanted_orders(self, sym: SmartSymbol) -> list[Wanted]:
        """OPEN 64: toxicity EXTREME alone leaves take-profits; EMERGENCY by the latch leaves only the flatten."""
        if self.latch is not None:
            return self.wanted_flatten(sym)
        if sym.plan is None:
            return []
        wanted = Reference.wanted_orders(self, sym)
        for w in wanted:
            if w.role != ENTRY:
                w.price = self.tp_price(sym, sym.cycles[w.key])
        return wanted if self.may_add(sym) else [w for w in wanted if w.role != ENTRY]

    def may_add(self, sym: SmartSymbol) -> bool:
        bound = sym.paused or sym.halted or self.damage_control or sym.damage_control or sym.over_budget
        return not bound and not self.monitor_triggered(sym)

    @staticmethod
    def monitor_triggered(sym: SmartSymbol) -> bool:
        return sym.gates.level[gt.SHOCK] > 0 or sym.gates.level[gt.TOXICITY] >= gt.HIGH
