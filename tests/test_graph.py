"""What dlnotes.graph promises: the formulas by loops, PyTorch Geometric's numbers, and that the graph is really used."""

import networkx
import pytest
import torch
import torch.nn.functional as F
from fixtures import assert_figures, fill, wave
from hypothesis import given, settings
from hypothesis import strategies as st

from dlnotes.capture import record
from dlnotes.graph import GAT, GCN, KARATE_EDGES, GATLayer, GCNLayer, karate_club, neighbour_attention, normalized_adjacency

quick = settings(max_examples=25, deadline=None)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def make(build):
    """The same random weights each time, evaluation mode."""
    torch.manual_seed(0)
    return build().eval()


LAYERS = pytest.mark.parametrize("build", [lambda: GATLayer(5, 4, heads=3), lambda: GCNLayer(5, 4)], ids=["GAT", "GCN"])
NETWORKS = pytest.mark.parametrize("build", [lambda: GCN(34), lambda: GAT(34)], ids=["GCN", "GAT"])


def close(a, b) -> None:
    torch.testing.assert_close(a, b, atol=1e-12, rtol=1e-12)


@st.composite
def graphs(draw, weighted: bool = True):
    """A random undirected graph of 1 to 9 nodes; isolated nodes are welcome."""
    n, density, seed = draw(st.integers(1, 9)), draw(st.floats(0, 1)), draw(st.integers(0, 9999))
    generator = torch.Generator().manual_seed(seed)
    a = (torch.rand(n, n, generator=generator) < density).double().triu(1)
    a = a * torch.rand(n, n, generator=generator, dtype=torch.float64) if weighted else a
    return a + a.T


# ---------------------------------------------------------------- graph convolution

@given(a=graphs(), bias=st.booleans())
@quick
def test_gcn_is_the_formula_by_loops(a, bias):
    n = len(a)
    layer = GCNLayer(4, 3, bias=bias).double()
    if bias:
        torch.nn.init.normal_(layer.bias)
    x = noise(2, n, 4)
    with_loops = a + torch.eye(n)
    degree = [sum(with_loops[i, j] for j in range(n)) for i in range(n)]
    expected = torch.zeros(2, n, 3, dtype=torch.float64) + (layer.bias if bias else 0)
    for i in range(n):
        for j in range(n):
            expected = expected.index_add(1, torch.tensor([i]), (with_loops[i, j] / (degree[i] * degree[j]) ** 0.5
                                                                 * (x[:, j] @ layer.weight))[:, None])
    close(layer(x, a), expected)


@given(a=graphs())
@quick
def test_the_normalised_adjacency_has_largest_eigenvalue_one(a):
    """And 1 belongs to the vector of the degrees' roots: a signal that convolution leaves alone."""
    hat = normalized_adjacency(a)
    close(hat, hat.T)
    assert torch.linalg.eigvalsh(hat)[-1].item() == pytest.approx(1.0) and torch.linalg.eigvalsh(hat)[0] > -1
    root = (a.sum(1) + 1).sqrt()
    close(hat @ root, root)


def test_many_convolutions_make_all_nodes_of_a_connected_graph_alike():
    """Up to the roots of their degrees: oversmoothing."""
    club = karate_club(torch.float64)
    x = torch.linalg.matrix_power(normalized_adjacency(club.adjacency), 200) @ noise(34, 3)
    scaled = x / (club.adjacency.sum(1) + 1).sqrt()[:, None]
    assert (scaled.std(dim=0) / scaled.mean(dim=0).abs()).max() < 1e-6


# ---------------------------------------------------------------- graph attention

@given(a=graphs(), heads=st.integers(1, 3), concat=st.booleans())
@quick
def test_gat_is_the_equations_by_loops(a, heads, concat):
    """Equations 1 to 6, with the vector a in one piece on two nodes side by side."""
    n = len(a)
    layer = GATLayer(4, 3, heads, concat).double()
    x, outs = noise(n, 4), []
    for k in range(heads):
        w, vector = layer.linear.weight[3 * k:3 * k + 3], torch.cat([layer.asking[k], layer.asked[k]])
        rows = []
        for i in range(n):
            neighbours = [j for j in range(n) if a[i, j] != 0 or i == j]
            e = torch.stack([F.leaky_relu(vector @ torch.cat([w @ x[i], w @ x[j]]), 0.2) for j in neighbours])
            alpha = e.exp() / e.exp().sum()
            rows.append(sum(weight * (w @ x[j]) for weight, j in zip(alpha, neighbours)))
        outs.append(torch.stack(rows))
    close(layer(x[None], a)[0], torch.cat(outs, dim=1) if concat else torch.stack(outs).mean(dim=0))


@given(a=graphs())
@quick
def test_attention_sums_to_one_over_neighbours_and_is_zero_elsewhere(a):
    n = len(a)
    weights = neighbour_attention(noise(2, 3, n), noise(2, 3, n, seed=1), a)
    near = (a != 0) | torch.eye(n, dtype=torch.bool)
    close(weights.sum(-1), torch.ones(2, 3, n, dtype=torch.float64))
    assert (weights[..., near] > 0).all() and (weights[..., ~near] == 0).all()


def test_an_edge_may_lead_one_way():
    one_way = torch.tensor([[0.0, 1.0], [0.0, 0.0]])
    assert neighbour_attention(torch.zeros(2), torch.zeros(2), one_way).tolist() == [[0.5, 0.5], [0.0, 1.0]]


@LAYERS
def test_who_is_no_neighbour_is_not_heard(build):
    """Change one node: the neighbours' output changes, that of all others stays as it is, bit for bit."""
    club = karate_club(torch.float64)
    layer, x = make(build).double(), noise(1, 34, 5)
    for node in (0, 16, 33):
        changed = x.clone()
        changed[:, node] += 10 * noise(5, seed=node)
        near = (club.adjacency[node] != 0) | (torch.arange(34) == node)
        before, after = layer(x, club.adjacency)[0], layer(changed, club.adjacency)[0]
        assert torch.equal(before[~near], after[~near])
        assert (before[near] != after[near]).any(dim=1).all()


@LAYERS
def test_without_its_edges_the_layer_computes_something_else(build):
    layer, club, x = make(build), karate_club(), noise(1, 34, 5).float()
    complete = torch.ones(34, 34).fill_diagonal_(0)
    outs = [layer(x, a) for a in (club.adjacency, torch.zeros(34, 34), complete)]
    assert all((a - b).abs().max() > 0.01 for a, b in zip(outs, [*outs[1:], outs[0]]))


@NETWORKS
def test_networks_are_permutation_equivariant(build):
    network, a, x = make(build).double(), karate_club(torch.float64).adjacency, noise(2, 34, 34)
    order = torch.randperm(34, generator=torch.Generator().manual_seed(0))
    close(network(x[:, order], a[order][:, order]), network(x, a)[:, order])


@LAYERS
def test_isolated_nodes_hear_themselves(build):
    layer, x = make(build), noise(1, 3, 5).float()
    own = x @ layer.weight if isinstance(layer, GCNLayer) else layer.linear(x)
    torch.testing.assert_close(layer(x, torch.zeros(3, 3)), own)


def test_weights_of_edges_matter_to_convolution_and_not_to_attention():
    a, x = karate_club().adjacency, noise(1, 34, 5).float()
    conv, attend = make(lambda: GCNLayer(5, 4)), make(lambda: GATLayer(5, 4))
    assert not torch.allclose(conv(x, a), conv(x, 3 * a)) and torch.equal(attend(x, a), attend(x, 3 * a))


def test_attention_is_recorded_by_name():
    club, network = karate_club(), GAT(34).eval()
    with torch.no_grad(), record(network, attention=True) as seen:
        network(club.features, club.adjacency)
    shapes = {x.module: tuple(x.shape) for x in seen.attention}
    assert shapes == {"attention1": (1, 8, 34, 34), "attention2": (1, 1, 34, 34)}
    assert (seen.attention[0].weights[:, :, (club.adjacency + torch.eye(34)) == 0] == 0).all()


def test_figures_of_pytorch_geometric():
    """GCNConv and GATConv of PyTorch Geometric 2.8.1, no biases, filled by the rule of fixtures.py, on the karate club."""
    a, x = karate_club(torch.float64).adjacency, wave(1, 34, 6)
    assert_figures(fill(GCNLayer(6, 5))(x, a), -2.392681476e-04, 1.764323228e-02, 6.837640541e-03, -3.853784446e-03)
    assert_figures(fill(GATLayer(6, 5, heads=3))(x, a),
                   -2.008469200e-04, 5.097702425e-02, -1.540004610e-02, 4.099676559e-03)
    assert_figures(fill(GATLayer(6, 5, heads=3, concat=False))(x, a),
                   -2.008469200e-04, 1.421212732e-02, -4.556490506e-03, 3.755224787e-03)


# ---------------------------------------------------------------- the karate club

def test_the_karate_club_is_zacharys():
    club, theirs = karate_club(), networkx.karate_club_graph()
    assert len(KARATE_EDGES) == 78 and {frozenset(edge) for edge in KARATE_EDGES} == {frozenset(e) for e in theirs.edges}
    assert club.clubs.tolist() == [int(theirs.nodes[i]["club"] == "Officer") for i in range(34)]
    assert torch.equal(club.adjacency, club.adjacency.T) and club.adjacency.sum() == 156
    assert club.adjacency.sum(1).sort().values[-2:].tolist() == [16, 17] and club.adjacency.sum(1).argmax() == 33


def learn(network: torch.nn.Module, adjacency: torch.Tensor) -> list[int]:
    """Train on the labels of the two leaders alone; the members that come out in the wrong club."""
    club = karate_club()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01, weight_decay=5e-4)
    for _ in range(100):
        optimizer.zero_grad()
        F.cross_entropy(network(club.features, adjacency)[0, club.leaders], club.clubs[club.leaders]).backward()
        optimizer.step()
    predicted = network.eval()(club.features, adjacency)[0].argmax(dim=1)
    return (predicted != club.clubs).nonzero().flatten().tolist()


@pytest.mark.parametrize("seed", range(3))
def test_gcn_tells_the_split_from_two_labels_all_but_member_8(seed):
    torch.manual_seed(seed)
    assert learn(GCN(34, dropout=0.0), karate_club().adjacency) == [8]


@pytest.mark.parametrize("seed", range(3))
def test_gat_tells_nearly_all(seed):
    torch.manual_seed(seed)
    assert len(learn(GAT(34), karate_club().adjacency)) <= 3


@pytest.mark.parametrize("network", [GCN, GAT])
def test_without_edges_nobody_can_tell(network):
    torch.manual_seed(0)
    assert len(learn(network(34, dropout=0.0), torch.zeros(34, 34))) > 8


# ---------------------------------------------------------------- refusals

RING = torch.tensor([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0]])


@pytest.mark.parametrize("call", [
    lambda: normalized_adjacency(RING.long()), lambda: normalized_adjacency(RING[:2]), lambda: normalized_adjacency(-RING),
    lambda: normalized_adjacency(RING.triu()), lambda: normalized_adjacency(RING + torch.eye(3)),
    lambda: normalized_adjacency(RING.tolist()), lambda: GCNLayer(4, 2)(torch.zeros(1, 3, 4), RING.double()),
    lambda: GCNLayer(4, 2)(torch.zeros(1, 3, 4), RING[:2, :2]), lambda: GATLayer(4, 2)(torch.zeros(1, 2, 4), RING),
    lambda: GATLayer(4, 2)(torch.zeros(1, 3, 4), RING.bool()), lambda: GCN(4)(torch.zeros(3, 4), RING),
    lambda: GATLayer(4, 2, heads=0), lambda: GATLayer(4, 2, dropout=1.0), lambda: GCNLayer(4, 0),
    lambda: GCN(4, dropout=-0.1), lambda: neighbour_attention(torch.zeros(3), torch.zeros(3), RING.tolist()),
    lambda: GAT(4)(torch.zeros(1, 3, 5), RING), lambda: neighbour_attention(torch.zeros(3), torch.zeros(2), RING),
    lambda: neighbour_attention(torch.zeros(2), torch.zeros(2), RING),
])
def test_bad_input_is_refused_in_one_sentence(call):
    with pytest.raises((ValueError, TypeError), match=r"(?s)^[\w.]+: expected .*, got .*; .*\S$"):
        call()


@NETWORKS
def test_networks_compile_and_export(build):
    club, network = karate_club(), make(build)
    torch._dynamo.reset()
    compiled = torch.compile(network, backend="aot_eager", fullgraph=True)
    exported = torch.export.export(network, (club.features, club.adjacency)).module()
    with torch.no_grad():
        for other in (compiled, exported):
            torch.testing.assert_close(other(club.features, club.adjacency), network(club.features, club.adjacency))


@NETWORKS
def test_networks_run_under_autocast(build):
    club, network = karate_club(), make(build)
    with torch.autocast("cpu", torch.bfloat16):
        out = network(club.features, club.adjacency)
    assert (out.float() - network(club.features, club.adjacency)).abs().max() < 0.05
