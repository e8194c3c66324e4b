"""Pin: what we hold is made to match the plan. See STATE.md."""
