"""jaxdl.model_selection"""
