# %% [markdown]
"""
# A first replay

Six minutes of BTCUSDT, a static grid with real fees, and a policy of one's own. Every number is exact, every run has a digest.
"""

# %%
import grinder as gr

run = gr.replay("binance_btcusdt_6m")
run  # noqa: B018

# %% [markdown]
"""
Completed cycles. Prices are in ticks (0.1 USDT), money in atoms (1e-8 USDT); `run.money(...)` makes text of atoms.
"""

# %%
run.cycles.to_polars().select("cycle", "side", "entry_price", "exit_price", "gross", "fees", "net")

# %%
ax = run.plot()

# %% [markdown]
"""
The same grid with three levels a side. A policy is a function of what is known at the moment; it returns the plan to hold.
"""


# %%
@gr.policy
def narrow(view: gr.View, params: object) -> gr.GridPlan:
    """The static grid with three levels a side."""
    return gr.static(view, params)._replace(levels_down=3, levels_up=3)


other = gr.replay("binance_btcusdt_6m", policy=narrow)
ax = other.plot()

# %% [markdown]
"""
Another policy gives another digest, the same replay the same one.
"""

# %%
again = gr.replay("binance_btcusdt_6m")
{"static": run.digest.value, "narrow": other.digest.value, "static again": again.digest.value}  # noqa: B018
