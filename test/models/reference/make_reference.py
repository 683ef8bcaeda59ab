# Reference values for the arithmetic of the guarded step, independent of the code under test: numpy, float64, one seed.
#
#   python3 test/models/reference/make_reference.py > test/models/reference/reference.json
#
# Gradients are made twice, in matrix form and by central differences of the loss, and the script stops where they disagree.
# The tests read the JSON only; python is needed to make it again, not to run them. Made with numpy 2.4.6.
import json

import numpy as np

rng = np.random.default_rng(20_240_607)
WIDTH, CLASSES = 8, 3


def single(values):
    """What a float32 holds, so that both sides start from the same numbers."""
    return np.asarray(values, dtype=np.float32).astype(np.float64)


def split(head):
    return head[: WIDTH * CLASSES].reshape(WIDTH, CLASSES), head[WIDTH * CLASSES :]


def log_policy(head, x):
    weights, bias = split(head)
    logits = x @ weights + bias
    return logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)


def terms(head, x, votes, base_log):
    logs = log_policy(head, x)
    reward = np.exp(logs[np.arange(len(votes)), votes]).mean()
    kl = (np.exp(base_log) * (base_log - logs)).sum(axis=1).mean()
    return reward, kl


def gradient(head, x, votes, base_log, kl_weight):
    p = np.exp(log_policy(head, x))
    hot = np.eye(CLASSES)[votes]
    chance = (p * hot).sum(axis=1, keepdims=True)
    mass = np.exp(base_log).sum(axis=1, keepdims=True)
    slopes = (-chance * (hot - p) + kl_weight * (p * mass - np.exp(base_log))) / len(votes)
    found = np.concatenate([(x.T @ slopes).ravel(), slopes.sum(axis=0)])

    def loss(at):
        reward, kl = terms(at, x, votes, base_log)
        return kl_weight * kl - reward

    for i in range(len(head)):
        step = np.zeros_like(head)
        step[i] = 1e-6
        slope = (loss(head + step) - loss(head - step)) / 2e-6
        assert abs(slope - found[i]) < 1e-6 * max(1.0, abs(slope)), (i, slope, found[i])
    return found


def batch(rows, reach, kl_weight):
    head = single(rng.uniform(-reach, reach, (WIDTH + 1) * CLASSES))
    base = single(rng.uniform(-reach, reach, (WIDTH + 1) * CLASSES))
    x = single(np.maximum(0, rng.normal(0.3, 1, (rows, WIDTH))))
    votes = rng.integers(0, CLASSES, rows)
    base_log = single(log_policy(base, x))
    reward, kl = terms(head, x, votes, base_log)
    return {
        "rows": rows,
        "klWeight": kl_weight,
        "head": head.tolist(),
        "embeddings": x.ravel().tolist(),
        "votes": votes.tolist(),
        "baseLog": base_log.ravel().tolist(),
        "gradient": gradient(head, x, votes, base_log, kl_weight).tolist(),
        "reward": reward,
        "penalty": kl_weight * kl,
        "kl": kl,
    }


def chain():
    """Six guarded steps: gradient, clip, Adam (Kingma & Ba, algorithm 1), back to the base, EMA."""
    settings = {"klWeight": 0.7, "clipNorm": 0.1, "restore": 0.1, "ema": 0.8}
    base = single(rng.uniform(-1, 1, (WIDTH + 1) * CLASSES))
    head, served = base.copy(), base.copy()
    m, v = np.zeros_like(base), np.zeros_like(base)
    steps = []
    for n, rate in enumerate([0.05, 0.02, 0.05, 0.001, 0.05, 0.03], start=1):
        rows = 6
        # Every second batch is faint, so that some gradients are clipped and some are not.
        x = single(np.maximum(0, rng.normal(0.3, 1, (rows, WIDTH))) * (1 if n % 2 else 0.02))
        votes = rng.integers(0, CLASSES, rows) if n % 2 else np.arange(rows) % CLASSES
        base_log = log_policy(base, x)
        reward, kl = terms(head, x, votes, base_log)
        g = gradient(head, x, votes, base_log, settings["klWeight"])
        norm = float(np.linalg.norm(g))
        g = g * min(1.0, settings["clipNorm"] / norm)
        m = 0.9 * m + 0.1 * g
        v = 0.999 * v + 0.001 * g**2
        head = head - rate * (m / (1 - 0.9**n)) / (np.sqrt(v / (1 - 0.999**n)) + 1e-8)
        head = head + settings["restore"] * (base - head)
        served = settings["ema"] * served + (1 - settings["ema"]) * head
        steps.append(
            {
                "rate": rate,
                "embeddings": x.ravel().tolist(),
                "votes": votes.tolist(),
                "reward": reward,
                "penalty": settings["klWeight"] * kl,
                "gradNorm": norm,
                "clipped": norm > settings["clipNorm"],
                "kl": terms(head, x, votes, base_log)[1],
                "head": head.tolist(),
                "served": served.tolist(),
                "firstMoment": m.tolist(),
                "secondMoment": v.tolist(),
            }
        )
    assert {step["clipped"] for step in steps} == {True, False}
    return {"settings": settings, "base": base.tolist(), "steps": steps}


def main():
    batches = [batch(4, 1, 1.0), batch(7, 3, 0.0), batch(5, 3, 2.5), batch(4, 20, 1.0)]
    print(json.dumps({"width": WIDTH, "classes": CLASSES, "batches": batches, "chain": chain()}, indent=1))


main()
