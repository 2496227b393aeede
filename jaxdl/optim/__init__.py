"""jaxdl.optim"""
