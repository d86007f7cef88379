"""The datasets of TDX, a module each; `loaders.tdx.plan.NAMES` lists them in loading order."""
