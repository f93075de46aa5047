from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as reference
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from harness import stats

EXPERIMENTS = 2_000


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_agrees_with_scipy(pair):
    successes, n = pair
    expected = reference.binomtest(successes, n).proportion_ci(0.95, method="wilson")

    assert stats.wilson(successes, n) == pytest.approx((expected.low, expected.high), abs=1e-9)


@given(st.integers(0, 400), st.integers(0, 400))
def test_mcnemar_agrees_with_scipy(only_a, only_b):
    n = only_a + only_b
    expected = reference.binomtest(only_a, n, 0.5).pvalue if n else 1.0

    assert stats.mcnemar_exact(only_a, only_b) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
@pytest.mark.parametrize(("successes", "n"), [(0, 7), (7, 7), (1, 40), (361, 1034), (2_499, 2_500), (60_123, 100_000)])
def test_wilson_agrees_with_statsmodels(successes, n, confidence):
    expected = proportion_confint(successes, n, alpha=1 - confidence, method="wilson")

    assert stats.wilson(successes, n, confidence) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("only_a", "only_b"), [(0, 1), (5, 5), (0, 6), (12, 3), (37, 60), (49, 124), (300, 371)])
def test_mcnemar_agrees_with_statsmodels(only_a, only_b):
    expected = mcnemar([[10, only_a], [only_b, 20]], exact=True).pvalue

    assert stats.mcnemar_exact(only_a, only_b) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("count", [1, 2, 10, 45])
def test_holm_agrees_with_statsmodels(count):
    p_values = [*np.random.default_rng(count).random(count) ** 3, 0.02, 0.02]

    assert stats.holm(p_values) == pytest.approx(list(multipletests(p_values, method="holm")[1]), abs=1e-12)


def test_clusters_weigh_as_in_statsmodels_cluster_robust_errors():
    a, b, clusters = _clustered_experiment(np.random.default_rng(18), 40, 0.05)
    model = OLS(b - a, np.ones(len(a)))
    plain, robust = model.fit(), model.fit(cov_type="cluster", cov_kwds={"groups": clusters}, use_t=True)

    ratio = (robust.bse[0] / plain.bse[0]) ** 2
    assert ratio > 1.5
    assert stats.design_effect(b - a, clusters.tolist()) == pytest.approx(ratio, rel=1e-9)
    interval = stats.paired_bootstrap(a, b, clusters.tolist(), rng=18)
    width = robust.conf_int()[0][1] - robust.conf_int()[0][0]
    # a bootstrap is no formula: its quantiles are uncertain by a few per cent of the width
    assert interval == pytest.approx(tuple(robust.conf_int()[0]), abs=0.05 * width)


def test_mcnemar_takes_counts_beyond_the_range_of_floats():
    assert 0 < stats.mcnemar_exact(4_000, 4_400) < 1e-4


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 20))
def test_sign_flip_without_clusters_is_mcnemar(only_a, only_b, both):
    differences = [-1] * only_a + [1] * only_b + [0] * both or [0]

    assert stats.sign_flip_exact(differences) == pytest.approx(stats.mcnemar_exact(only_a, only_b))


def test_sign_flip_agrees_with_scipys_exhaustive_permutation():
    rng = np.random.default_rng(5)
    values, clusters = rng.integers(-1, 2, 60), np.repeat(np.arange(10), 6)
    sums = np.bincount(clusters, weights=values)
    expected = reference.permutation_test(
        (sums, np.zeros(10)), lambda x, y: np.sum(x - y), permutation_type="samples", n_resamples=np.inf
    )

    assert stats.sign_flip_exact(list(values), list(clusters)) == pytest.approx(expected.pvalue)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_holm_is_monotone_bounded_and_never_below_the_raw_value(p_values):
    adjusted = stats.holm(p_values)

    assert all(raw <= new <= 1 for raw, new in zip(p_values, adjusted, strict=True))
    assert min(adjusted) == pytest.approx(min(1, len(p_values) * min(p_values)))
    order = np.argsort(p_values, kind="stable")
    assert all(np.diff(np.asarray(adjusted)[order]) >= 0)


def test_holm_by_hand():
    assert stats.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


@pytest.mark.parametrize("degrees", [1, 2, 3, 7, 19, 1033, 100_000])
@pytest.mark.parametrize("p", [0.025, 0.5, 0.9, 0.975, 0.995])
def test_t_quantiles_agree_with_scipy(p, degrees):
    assert stats.t_quantile(p, degrees) == pytest.approx(reference.t.ppf(p, degrees), rel=1e-6, abs=1e-9)


def test_bootstrap_agrees_with_scipys_percentile_bootstrap():
    rng = np.random.default_rng(1)
    values = rng.random(400) < 0.3
    expected = reference.bootstrap(
        (values.astype(float),), np.mean, n_resamples=20_000, method="percentile", rng=rng, vectorized=True
    ).confidence_interval

    assert stats.bootstrap_mean(values, rng=2) == pytest.approx((expected.low, expected.high), abs=0.004)


def test_the_same_seed_gives_the_same_interval():
    values, clusters = [0, 1, 1, 0, 1, 1], ["a", "a", "b", "c", "c", "d"]

    assert stats.bootstrap_mean(values, clusters, rng=7) == stats.bootstrap_mean(values, clusters, rng=7)


def test_wilson_covers_as_promised():
    rng = np.random.default_rng(11)
    for n, share in ((200, 0.6), (1034, 0.3), (60, 0.5)):
        hits = rng.binomial(n, share, EXPERIMENTS)
        bounds = np.array([stats.wilson(int(k), n) for k in hits])

        assert 0.93 <= np.mean((bounds[:, 0] <= share) & (share <= bounds[:, 1])) <= 0.97


def _paired_experiment(rng, n, difference, both=0.35, disagree=0.2):
    """Two models on n independent questions, disagreeing on a fifth of them."""
    only_a, only_b = (disagree - difference) / 2, (disagree + difference) / 2
    kind = rng.choice(4, n, p=[both, only_a, only_b, 1 - both - disagree])
    return (kind < 2).astype(float), ((kind == 0) | (kind == 2)).astype(float)


def test_paired_interval_covers_as_promised():
    rng = np.random.default_rng(12)
    inside = 0
    for _ in range(EXPERIMENTS):
        low, high = stats.paired_bootstrap(*_paired_experiment(rng, 300, 0.04), rng=rng, replicates=800)
        inside += low <= 0.04 <= high

    assert 0.93 <= inside / EXPERIMENTS <= 0.97


def _clustered_experiment(rng, databases, difference):
    """Databases of unequal size, each with its own difficulty and its own advantage for one of the models."""
    sizes = rng.integers(20, 80, databases)
    clusters = np.repeat(np.arange(databases), sizes)
    tilt = np.clip(rng.normal(difference, 0.10, databases), -0.3, 0.3)[clusters]
    draw = rng.random(len(clusters))
    only_a, only_b = (0.3 - tilt) / 2, (0.3 + tilt) / 2
    both = 0.3
    a = draw < both + only_a
    b = (draw < both) | ((draw >= both + only_a) & (draw < both + only_a + only_b))
    return a.astype(float), b.astype(float), clusters


def test_clustered_interval_covers_as_promised_with_twenty_databases():
    rng = np.random.default_rng(13)
    inside = naive = 0
    for number in range(EXPERIMENTS):
        a, b, clusters = _clustered_experiment(rng, 20, 0.05)
        low, high = stats.paired_bootstrap(a, b, clusters.tolist(), rng=rng, replicates=800)
        inside += low <= 0.05 <= high
        if number % 4 == 0:
            low, high = stats.paired_bootstrap(a, b, rng=rng, replicates=400)
            naive += low <= 0.05 <= high

    assert 0.93 <= inside / EXPERIMENTS <= 0.97
    # the reason for clusters: pretending that the items are independent is visibly overconfident
    assert naive / (EXPERIMENTS // 4) < 0.90


def test_cluster_mean_covers_as_promised():
    rng = np.random.default_rng(14)
    inside = 0
    for _ in range(EXPERIMENTS):
        level = rng.beta(6, 4, 40)
        sizes = rng.integers(10, 40, 40)
        clusters = np.repeat(np.arange(40), sizes)
        values = rng.random(len(clusters)) < level[clusters]
        low, high = stats.bootstrap_mean(values, clusters.tolist(), rng=rng, replicates=800)
        inside += low <= 0.6 <= high

    assert 0.93 <= inside / EXPERIMENTS <= 0.97


def test_paired_tests_raise_at_most_five_per_cent_false_alarms():
    rng = np.random.default_rng(15)
    counts = rng.multinomial(400, [0.1, 0.1, 0.8], EXPERIMENTS)
    plain = np.array([stats.mcnemar_exact(int(a), int(b)) for a, b, _ in counts])
    clustered = []
    for _ in range(EXPERIMENTS):
        a, b, clusters = _clustered_experiment(rng, 20, 0.0)
        clustered.append(stats.sign_flip_exact((b - a).astype(int), clusters.tolist()))

    assert np.mean(plain <= 0.05) <= 0.05
    assert np.mean(np.array(clustered) <= 0.05) <= 0.05


def test_mcnemar_alone_would_raise_false_alarms_where_questions_share_databases():
    rng = np.random.default_rng(15)
    alarms = 0
    for _ in range(EXPERIMENTS // 4):
        a, b, _ = _clustered_experiment(rng, 20, 0.0)
        alarms += stats.mcnemar_exact(int((a > b).sum()), int((b > a).sum())) <= 0.05

    assert alarms / (EXPERIMENTS // 4) > 0.15, "the reason why a pair is also tested over whole databases"


@pytest.mark.parametrize(("n", "discordant"), [(300, 0.2), (1034, 0.15), (100, 0.3)])
def test_minimum_detectable_difference_is_found_with_the_promised_power(n, discordant):
    difference = stats.minimum_detectable(n, discordant)
    probabilities = [(discordant - difference) / 2, (discordant + difference) / 2, 1 - discordant]
    counts = np.random.default_rng(16).multinomial(n, probabilities, EXPERIMENTS)
    found = np.mean([stats.mcnemar_exact(int(a), int(b)) <= 0.05 for a, b, _ in counts])

    # the exact test is a little weaker than the normal approximation behind the formula
    assert 0.72 <= found <= 0.84


@pytest.mark.parametrize("databases", [20, 60])
def test_with_shared_databases_the_detectable_difference_is_larger_and_found_with_the_promised_power(databases):
    rng = np.random.default_rng(17)
    effects = []
    for _ in range(200):
        a, b, clusters = _clustered_experiment(rng, databases, 0.05)
        effects.append(stats.design_effect(b - a, clusters.tolist()))
    n, effect = databases * 50, float(np.mean(effects))
    difference = stats.minimum_detectable(n / effect, 0.3)
    found = 0
    for _ in range(EXPERIMENTS // 2):
        a, b, clusters = _clustered_experiment(rng, databases, difference)
        low, high = stats.paired_bootstrap(a, b, clusters.tolist(), rng=rng, replicates=400)
        found += low > 0 or high < 0

    assert difference > 1.2 * stats.minimum_detectable(n, 0.3)
    # few databases: Student's t widens the interval, and the normal formula promises a little too much
    assert 0.70 <= found / (EXPERIMENTS // 2) <= 0.86


def test_the_design_effect_is_one_without_clusters_and_the_size_of_clusters_that_agree():
    values = [1, 1, 0, 0, 1, 1, 0, 0]

    assert stats.design_effect(values) == 1
    assert stats.design_effect(values, list("aabbccdd")) == pytest.approx(2 * (4 / 3) / (8 / 7))
    assert stats.design_effect([1, 0] * 4, list("aabbccdd")) == 1
    assert stats.design_effect([1, 1, 1], list("aab")) == 1


def test_minimum_detectable_difference_shrinks_with_n_and_is_none_when_hopeless():
    assert stats.minimum_detectable(5, 1.0) is None
    assert stats.minimum_detectable(100, 0.0) == pytest.approx(7.6 / 100, abs=0.01)
    assert stats.minimum_detectable(4000, 0.2) < stats.minimum_detectable(1000, 0.2)


def test_no_disagreement_is_not_perfect_knowledge():
    for clusters in (None, [0] * 60 + [1] * 40):
        low, high = stats.paired_bootstrap([1, 0] * 50, [1, 0] * 50, clusters, rng=0)

        assert (low, high) == pytest.approx((-0.0295, 0.0295), abs=1e-3)


@given(st.integers(1, 30).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n))))
def test_pass_at_k_is_the_hypergeometric_chance_of_a_hit(triple):
    samples, correct, k = triple

    assert stats.pass_at_k(samples, correct, k) == pytest.approx(1 - reference.hypergeom.pmf(0, samples, correct, k))


def test_majority_counts_failures_but_never_elects_them():
    assert stats.majority(["x", None, None, "y", "y"]) == ("y", 0.4)
    assert stats.majority(["x", "y"]) == ("x", 0.5)
    assert stats.majority([None, None]) == (None, 0.0)


@pytest.mark.parametrize(
    "call",
    [
        lambda: stats.wilson(0, 0),
        lambda: stats.holm([]),
        lambda: stats.bootstrap_mean([], rng=0),
        lambda: stats.bootstrap_mean([1, 0], ["one", "one"], rng=0),
        lambda: stats.paired_bootstrap([], [], rng=0),
        lambda: stats.paired_bootstrap([1], [1, 0], rng=0),
        lambda: stats.sign_flip_exact([]),
        lambda: stats.minimum_detectable(0, 0.1),
        lambda: stats.majority([]),
        lambda: stats.pass_at_k(3, 1, 4),
        lambda: stats.wilson(4, 3),
    ],
)
def test_empty_or_impossible_input_raises(call):
    with pytest.raises(ValueError):
        call()
