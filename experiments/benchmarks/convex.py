"""Problems with one optimum: softmax regression by penalties, least squares by rows left out."""

import time

from experiments.benchmarks.timing import Row, digits, stratified, timed


def softmax(repeats: int) -> list[Row]:
    """Softmax regression, 10 penalties x 5 folds on digits, to one optimum."""
    import functools

    import jax
    import numpy as np
    from joblib import parallel_config
    from sklearn.linear_model import LogisticRegressionCV
    from threadpoolctl import threadpool_limits

    from jaxdl import clear_programs, families, models, optim, parallel, training
    from jaxdl.model_selection import cross_validate

    x, y = digits()
    folds, strengths = stratified(y), np.logspace(-3, 2, 10)
    network = models.mlp((64, 10))
    solve = functools.partial(optim.lbfgs, tolerance=1e-6, max_steps=2000)
    # scikit-learn sums the losses of a training part and halves the squares
    count = np.mean([len(train) for train, _ in folds])

    def make_learner(h):
        objective = training.negative_log_likelihood(
            network, families.categorical(10), penalty=0.5 / (h["C"] * count)
        )
        return training.solver_learner(network, objective, solve)

    def study():
        clear_programs()  # it compiles in each run
        return cross_validate(
            make_learner, {"C": strengths.tolist()}, (x, y), key=jax.random.key(0), folds=folds,
            epochs=1, keep="states",
        )  # fmt: skip

    runs = [timed(study, 1) for _ in range(repeats)]
    ours = runs[-1][1]
    kernels = np.asarray(ours.states[0].params["dense_0"]["kernel"])[:, :, 0]
    biases = np.asarray(ours.states[0].params["dense_0"]["bias"])[:, :, 0]

    def losses(w, b, s, f):
        """The penalised loss that both minimise, in float64."""
        rows = folds[f][0]
        eta = x[rows].astype(np.float64) @ w + b
        top = eta.max(1, keepdims=True)
        log_sum = np.log(np.exp(eta - top).sum(1)) + top[:, 0]
        fit = np.mean(log_sum - eta[np.arange(len(rows)), y[rows]])
        return fit + 0.5 / (strengths[s] * count) * np.sum(np.square(w, dtype=np.float64))

    def scikit(jobs, tol):
        model = LogisticRegressionCV(
            Cs=strengths, cv=folds, max_iter=5000, tol=tol, n_jobs=jobs, refit=False,
            use_legacy_attributes=True, l1_ratios=(0.0,), scoring="accuracy",
        )  # fmt: skip
        with threadpool_limits(1), parallel_config("loky", inner_max_num_threads=1):
            return model.fit(x.astype(np.float64), y)

    block = "softmax regression, 10 C x 5 folds"
    rows = []
    for jobs in sorted({1, parallel.usable_cores()}):
        cold, _ = timed(lambda j=jobs: scikit(j, 5e-7), 1)
        run, model = timed(lambda j=jobs: scikit(j, 5e-7), repeats)
        paths = np.stack([model.coefs_paths_[k] for k in sorted(model.coefs_paths_)], axis=-1)
        paths = paths.reshape(len(folds), len(strengths), 65, 10)
        gaps = [
            losses(kernels[s, f], biases[s, f], s, f)
            / losses(paths[f, s, :-1], paths[f, s, -1], s, f) - 1
            for s in range(len(strengths)) for f in range(len(folds))
        ]  # fmt: skip
        worst = max(abs(min(gaps)), abs(max(gaps)))
        rows.append(Row(block, f"LogisticRegressionCV(tol=5e-7, n_jobs={jobs})", run, 0.0, cold,
                        f"losses within {worst:.1e} of ours"))  # fmt: skip
    name = f"one program, L-BFGS, {ours.strategy.split(':')[0]} (auto)"
    first = Row(
        block,
        name,
        min(s.run_seconds for _, s in runs),
        min(s.compile_seconds for _, s in runs),
        min(t for t, _ in runs),
        f"best mean accuracy {ours.scores['accuracy'].mean((1, 2)).max():.3f}",
    )
    return [first, *rows]


def leave_one_out(repeats: int) -> list[Row]:
    """Ordinary least squares on diabetes, 442 folds of one row."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    from sklearn.linear_model import LinearRegression
    from sklearn.model_selection import LeaveOneOut, cross_val_score

    from jaxdl import clear_programs, data, models, training
    from jaxdl.model_selection import cross_validate
    from jaxdl.model_selection import leave_one_out as every_row

    diabetes = data.load("diabetes")
    x, y = diabetes.x, diabetes.y.astype(np.float32)
    folds = every_row(len(y))
    make_learner = lambda h: training.least_squares_learner(h["penalty"], num_features=10)

    def study():
        clear_programs()  # it compiles in each run
        return cross_validate(
            make_learner, {"penalty": [0.0]}, (x, y), key=jax.random.key(0), folds=folds, epochs=1
        )

    rmse = lambda squares: f"RMSE {np.sqrt(np.mean(squares)):.4f}"
    runs = [timed(study, 1) for _ in range(repeats)]
    block = "leave-one-out, least squares"
    ours = Row(
        block,
        f"442 refits in one program, {runs[0][1].strategy.split(':')[0]} (auto)",
        min(s.run_seconds for _, s in runs),
        min(s.compile_seconds for _, s in runs),
        min(t for t, _ in runs),
        rmse(runs[-1][1].scores["squared_error"]),
    )
    closed = jax.jit(lambda x, y: jnp.square(models.linear.leave_one_out_residuals(x, y)))
    began = time.perf_counter()
    program = closed.lower(x, y).compile()
    compiling = time.perf_counter() - began
    run, squares = timed(lambda: jax.block_until_ready(program(x, y)), repeats)
    formula = Row(block, "closed form (PRESS)", run, compiling, run + compiling, rmse(squares))

    def scikit():
        return cross_val_score(
            LinearRegression(), x, y, cv=LeaveOneOut(), scoring="neg_mean_squared_error"
        )

    run, scores = timed(scikit, repeats)
    return [ours, formula, Row(block, "cross_val_score(LinearRegression)", run, 0.0, run,
                               rmse(-scores))]  # fmt: skip
