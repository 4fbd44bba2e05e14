"""How fast and how exact the index answers, with FAISS and usearch beside it in the same run.

A drawn catalogue of clustered vectors (taste, text, picture), a drawn matrix of neighbours and an untrained SASRec of
real size go through the product's own code: the store, and `Index.candidates` as a gateway would call it. Vectors alone
are compared with FAISS (flat and HNSW) and usearch on the same queries. Batches are scored as a nightly job does it.

examples:
  python benchmarks/retrieval.py --quick
  python benchmarks/retrieval.py --items 10000 --items 100000 --items 1000000 --json benchmarks/results/retrieval.json
"""

import resource
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from record import arguments, record
from scipy import sparse

sys.path.insert(0, str(Path(__file__).parent.parent))
PACKAGES = ("lancedb", "faiss-cpu", "usearch", "numpy", "scipy", "torch")
WIDTH, TEXT, PICTURE = 64, 64, 64
NEAR = 60  # neighbours of an item
QUERIES, READERS, DEEP = 300, 8, 100


def clustered(rng: np.random.Generator, rows: int, width: int) -> np.ndarray:
    """Unit vectors around one centre for every two hundred items, as vectors of real catalogues lie."""
    centres = rng.normal(size=(max(8, rows // 200), width)).astype(np.float32)
    made = centres[rng.integers(len(centres), size=rows)] + 0.6 * rng.normal(size=(rows, width)).astype(np.float32)
    return np.asarray(made / np.linalg.norm(made, axis=1, keepdims=True), dtype=np.float32)


def percentiles(seconds: list[float]) -> tuple[float, float]:
    """The 50th and the 99th percentile in milliseconds."""
    low, high = np.percentile(np.array(seconds) * 1000, [50, 99])
    return float(low), float(high)


def timed(call: Any, queries: Any) -> tuple[list[float], list[Any]]:
    for query in queries[:20]:
        call(query)
    seconds, answers = [], []
    for query in queries:
        began = time.perf_counter()
        answers.append(call(query))
        seconds.append(time.perf_counter() - began)
    return seconds, answers


def at_once(call: Any, queries: Any) -> float:
    """Queries a second when eight readers ask."""
    with ThreadPoolExecutor(READERS) as pool:
        began = time.perf_counter()
        list(pool.map(call, queries))
        return len(queries) / (time.perf_counter() - began)


def neighbours(rng: np.random.Generator, items: int) -> Any:
    from llmrec.retrieval.neighbours import NeighbourRecipe, Neighbours

    columns = rng.integers(items, size=items * NEAR, dtype=np.int32)
    data = rng.random(items * NEAR, dtype=np.float32)
    weights = sparse.csr_array((data, columns, np.arange(items + 1) * NEAR), shape=(items, items))
    return Neighbours(NeighbourRecipe(), weights)


def an_index(folder: Path, rng: np.random.Generator, items: int) -> tuple[Any, dict[str, np.ndarray], dict[str, float]]:
    """An index of drawn content, built by the product's own parts; returns it with its vectors and the build time."""
    import torch

    from llmrec.retrieval import sasrec
    from llmrec.retrieval.content import Content
    from llmrec.retrieval.fusion import FEATURES, Fusion
    from llmrec.retrieval.graphs import FOLDER, Graphs, write_graphs
    from llmrec.retrieval.index import Index
    from llmrec.retrieval.popularity import Popularity
    from llmrec.retrieval.store import ItemStore

    ids = [f"i{number:07d}" for number in range(items)]
    words = np.array(["red", "blue", "linen", "cup", "lamp", "garden", "small", "round", "old", "soft"])
    titles = [" ".join(row) for row in words[rng.integers(10, size=(items, 4))]]
    frame = pl.DataFrame(
        {"item": ids, "title": titles, "price": rng.random(items) * 100, "brand": [f"b{n % 500}" for n in range(items)]}
    )
    vectors = {"text": clustered(rng, items, TEXT), "picture": clustered(rng, items, PICTURE)}
    recipe = sasrec.SasRecRecipe(width=WIDTH)
    learnt = sasrec.SasRec(recipe, items, sasrec.network(items, recipe).eval())
    with torch.no_grad():
        learnt.network.item.weight[:items] = torch.from_numpy(clustered(rng, items, WIDTH))
    vectors["taste"] = learnt.flat_vectors()
    began = time.perf_counter()
    store = ItemStore.create(folder / "store", frame, vectors)
    stored = time.perf_counter()
    write_graphs(folder / FOLDER, vectors)
    seconds = {"store_build_s": stored - began, "graphs_build_s": time.perf_counter() - stored}
    began = time.perf_counter()
    graphs = Graphs(folder, store, pl.Series(ids))
    seconds["graphs_open_s"] = time.perf_counter() - began
    parts = (
        neighbours(rng, items),
        learnt,
        Content(lambda: vectors["text"], "text"),
        Content(lambda: vectors["picture"], "pictures"),
    )
    worth = Popularity(rng.random(items, dtype=np.float32))
    weights = rng.random(len(FEATURES) * len(parts))
    index = Index(folder, {}, pl.Series(ids), worth, worth, parts, Fusion(parts, weights), None, None, store, graphs)
    return index, vectors, seconds


def recall(found: list[Any], truth: np.ndarray) -> float:
    """The share of the true nearest that were found."""
    pairs = zip(found, truth.tolist(), strict=True)
    return float(np.mean([len(set(map(int, one)) & set(row)) / DEEP for one, row in pairs]))


def of_the_store(store: Any, queries: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    spent, answers = timed(lambda query: store.near(query, "text", DEEP), queries)
    low, high = percentiles(spent)
    found = {"near_p50_ms": low, "near_p99_ms": high}
    found["near_recall"] = recall([[name[1:] for name in one.items] for one in answers], truth)
    found["near_qps_8_readers"] = at_once(lambda query: store.near(query, "text", DEEP), queries)
    asked = ["red linen lamp", "old garden cup"] * (QUERIES // 2)
    spent, _ = timed(lambda query: store.words(query, DEEP), asked)
    found["words_p50_ms"], found["words_p99_ms"] = percentiles(spent)
    return found


def of_the_graph(graphs: Any, queries: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Our graph as candidates use it, with the look for changes and the ids of items."""
    spent, answers = timed(lambda query: graphs.near(query, "text", DEEP), queries)
    low, high = percentiles(spent)
    found = {"graph_p50_ms": low, "graph_p99_ms": high}
    found["graph_recall"] = recall([[name[1:] for name in one.items] for one in answers], truth)
    found["graph_qps_8_readers"] = at_once(lambda query: graphs.near(query, "text", DEEP), queries)
    return found


def of_faiss(base: np.ndarray, queries: np.ndarray, truth: np.ndarray, enough: float) -> dict[str, float]:
    """HNSW with the least effort that finds as much as our index does."""
    import faiss

    faiss.omp_set_num_threads(2)
    began = time.perf_counter()
    graph = faiss.IndexHNSWFlat(base.shape[1], 32, faiss.METRIC_INNER_PRODUCT)
    graph.hnsw.efConstruction = 80
    graph.add(base)
    found = {"faiss_hnsw_build_s": time.perf_counter() - began}
    faiss.omp_set_num_threads(1)
    for effort in (64, 128, 256, 512, 1024):
        graph.hnsw.efSearch = effort
        spent, answers = timed(lambda query: graph.search(query[None], DEEP)[1][0], queries)
        found["faiss_hnsw_p50_ms"], found["faiss_hnsw_p99_ms"] = percentiles(spent)
        found["faiss_hnsw_recall"], found["faiss_hnsw_ef"] = recall(answers, truth), float(effort)
        if found["faiss_hnsw_recall"] >= enough:
            break
    return found


def of_usearch(base: np.ndarray, queries: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    from usearch.index import Index as Usearch

    began = time.perf_counter()
    graph = Usearch(ndim=base.shape[1], metric="ip", expansion_search=256)
    graph.add(np.arange(len(base)), base, threads=2)
    found = {"usearch_build_s": time.perf_counter() - began}
    spent, answers = timed(lambda query: graph.search(query, DEEP).keys, queries)
    found["usearch_p50_ms"], _ = percentiles(spent)
    found["usearch_recall"] = recall(answers, truth)
    return found


def of_candidates(index: Any, rng: np.random.Generator, items: int) -> dict[str, float]:
    """One person's fused list of a hundred, as a gateway asks for it."""
    people = [index.items.gather(rng.integers(items, size=rng.integers(3, 30))).to_list() for _ in range(QUERIES)]
    spent, answers = timed(lambda history: index.candidates(history, DEEP), people)
    assert all(len(one.items) == DEEP for one in answers)
    found = {}
    found["fused_p50_ms"], found["fused_p99_ms"] = percentiles(spent)
    found["fused_qps_8_readers"] = at_once(lambda history: index.candidates(history, DEEP), people)
    began = time.perf_counter()
    index.candidates(people[0], DEEP, where={"price": {"below": 20.5}})
    found["fused_first_filter_ms"] = (time.perf_counter() - began) * 1000  # reads the column
    spent = []
    for number, history in enumerate(people):  # each with a filter that nobody asked for before
        began = time.perf_counter()
        index.candidates(history, DEEP, where={"price": {"below": 20 + number / QUERIES}})
        spent.append(time.perf_counter() - began)
    found["fused_new_filter_p50_ms"], found["fused_new_filter_p99_ms"] = percentiles(spent)
    for name, below in (("filtered", 20), ("narrow", 0.1)):
        where = {"price": {"below": below}}
        spent, _ = timed(lambda history, where=where: index.candidates(history, DEEP, where=where), people)
        found[f"fused_{name}_p50_ms"], found[f"fused_{name}_p99_ms"] = percentiles(spent)
    return found


def measure(items: int, seed: int) -> dict[str, float]:
    """All figures at one size."""
    import faiss

    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as scratch:
        index, vectors, seconds = an_index(Path(scratch), rng, items)
        size = sum(file.stat().st_size for file in Path(scratch).rglob("*") if file.is_file())
        figures = {**seconds, "disk_mib": size / 2**20}
        base = vectors["text"]
        queries = (base[rng.integers(items, size=QUERIES)] + 0.2 * clustered(rng, QUERIES, TEXT)).astype(np.float32)
        flat = faiss.IndexFlatIP(TEXT)
        flat.add(base)
        truth = flat.search(queries, DEEP)[1]
        faiss.omp_set_num_threads(1)
        spent, _ = timed(lambda query: flat.search(query[None], DEEP), queries)
        figures["faiss_flat_p50_ms"], _ = percentiles(spent)
        figures |= of_the_store(index.store, queries, truth)
        figures |= of_the_graph(index.graphs, queries, truth)
        figures |= of_candidates(index, rng, items)
        if items <= 100_000:
            figures["batch_people_per_s"] = batch(index, rng, items)
        figures["peak_gib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # before the others' graphs
        figures |= of_faiss(base, queries, truth, figures["graph_recall"])
        figures |= of_usearch(base, queries, truth)
        figures["graph_to_hnsw"] = figures["graph_p50_ms"] / figures["faiss_hnsw_p50_ms"]
    return figures


def batch(index: Any, rng: np.random.Generator, items: int, people: int = 4_096) -> float:
    """People a second whose candidates are found by neighbours and SASRec together, a block at a time."""
    from llmrec.retrieval.batch import top_candidates

    histories = [rng.integers(items, size=rng.integers(3, 30), dtype=np.int32) for _ in range(people)]
    top_candidates(index.parts[:2], histories[:512], DEEP)
    began = time.perf_counter()
    top_candidates(index.parts[:2], histories, DEEP)
    return people / (time.perf_counter() - began)


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--items", type=int, action="append", help="a size of the catalogue; may be given again")
    asked = parser.parse_args()
    sizes = asked.items or ([10_000] if asked.quick else [10_000, 100_000, 1_000_000])
    figures: dict[str, float] = {}
    for size in sizes:
        found = measure(size, asked.seed)
        label = f"{size // 1000}k" if size < 1_000_000 else f"{size // 1_000_000}m"
        print(f"\n{size:,} items")
        for name, value in found.items():
            print(f"  {name:26}{value:>12.3f}")
        figures |= {f"{name}_{label}": value for name, value in found.items()}
    reach = {
        f"graph_recall_{label}": (">=", 0.95),
        f"near_recall_{label}": (">=", 0.95),
        f"fused_p50_ms_{label}": ("<=", 15.0),
        f"fused_p99_ms_{label}": ("<=", 50.0),
        f"graph_to_hnsw_{label}": ("<=", 3.0),
    }
    if "batch_people_per_s_100k" in figures:
        reach["batch_people_per_s_100k"] = (">=", 2_000.0)
    if not record("retrieval", figures, reach, seed=asked.seed, packages=PACKAGES, file=asked.json):
        sys.exit(1)


if __name__ == "__main__":
    main()
