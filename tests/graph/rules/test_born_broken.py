"""What is the only repair of a Service that never led anywhere, and what is not."""

from __future__ import annotations

import pytest

from graph.rules.born_broken import ContainerPort, PortFacts, Repair, ServiceFacts, TemplateFacts, repair, slip
from tools.refs import ObjectRef

SERVICE = ObjectRef(kind="Service", namespace="shop", name="web")
HTTP = ContainerPort("http", 8080)
METRICS = ContainerPort("metrics", 9090)
PLAIN = ContainerPort("", 8080)


def service(selector: dict[str, str], *ports: PortFacts, pods: int = 0) -> ServiceFacts:
    return ServiceFacts(SERVICE, selector, ports, pods)


def to(target: int | str, name: str = "", port: int = 80, protocol: str = "TCP") -> PortFacts:
    return PortFacts(name, port, target, protocol)


def workload(name: str, *ports: ContainerPort, namespace: str = "shop", **labels: str) -> TemplateFacts:
    return TemplateFacts(ObjectRef(kind="Deployment", namespace=namespace, name=name), labels, ports)


def said(found: Repair | None) -> tuple[dict[str, str | None], dict[int | str, int | str]] | None:
    if found is None:
        return None
    action = found.action
    assert (action.target, 0 < len(found.sentence) <= 400) == (SERVICE, True)
    return {e.key: e.value for e in action.selector}, {p.port: p.target_port for p in action.ports}


WEB = workload("web", app="web", tier="front")
API = workload("api", app="api", tier="front")


@pytest.mark.parametrize(
    ("why", "asked", "workloads", "answer"),
    [
        ("one label of two is wrong", service({"app": "web", "tier": "font"}), (WEB, API), {"tier": "front"}),
        ("one label of three is wrong", service({"app": "web", "tier": "front", "v": "2"}),
         (workload("web", app="web", tier="front", v="1"), API), {"v": "1"}),
        ("a label that the workload lacks", service({"app": "web", "tier": "front", "v": "2"}), (WEB, API),
         {"v": None}),
        ("two workloads are one label away", service({"app": "wbe", "tier": "front"}), (WEB, API), None),
        ("each by another label", service({"app": "web", "tier": "back"}), (WEB, workload("x", app="x", tier="back")),
         None),
        ("two labels are wrong", service({"app": "wbe", "tier": "font"}), (WEB,), None),
        ("its only label is wrong", service({"app": "wbe"}), (WEB,), None),
        ("no workload at all", service({"app": "web", "tier": "font"}), (), None),
        ("the workload is in another namespace", service({"app": "web", "tier": "font"}),
         (workload("web", namespace="prod", app="web", tier="front"),), None),
        ("it matches a template, which has no pods yet", service({"app": "web"}), (WEB, API), None),
        ("pods match that no workload made", service({"app": "web", "tier": "font"}, pods=1), (WEB, API), None),
        ("no selector: endpoints are kept by hand", service({}), (WEB,), None),
    ],
)  # fmt: skip
def test_selectors(
    why: str, asked: ServiceFacts, workloads: tuple[TemplateFacts, ...], answer: dict[str, str | None] | None
) -> None:
    assert said(repair(asked, workloads)) == (None if answer is None else (answer, {}))


@pytest.mark.parametrize(
    ("why", "ports", "offered", "answer"),
    [
        ("a slip of the pen", (to("htpp"),), (HTTP, METRICS), {80: "http"}),
        ("a slip in a port that has a name", (to("htpp", "web"),), (HTTP, METRICS), {"web": "http"}),
        ("a slip that two names are near", (to("https"),), (HTTP, ContainerPort("http2", 9443)), None),
        ("another word, one name is there", (to("web"),), (HTTP,), {80: "http"}),
        ("another word, one name beside a nameless port", (to("web"),), (HTTP, ContainerPort("", 9090)), {80: "http"}),
        ("another word, two names are there", (to("web"),), (HTTP, METRICS), None),
        ("a short word of other letters is no slip", (to("db"),), (ContainerPort("ws", 1), METRICS), None),
        ("no name is there", (to("http"),), (PLAIN,), None),
        ("the name is there", (to("http"),), (HTTP, METRICS), None),
        ("the only name has another port leading to it", (to("web", "a"), to("http", "b", 81)), (HTTP,), None),
        ("the only name of the protocol", (to("dns", protocol="UDP"),), (HTTP, ContainerPort("domain", 53, "UDP")),
         {80: "domain"}),
        ("a number that nothing declares", (to(9999),), (HTTP,), {80: 8080}),
        ("a number where nameless is declared", (to(9999),), (PLAIN,), {80: 8080}),
        ("a number, two are declared", (to(9999),), (HTTP, METRICS), None),
        ("a number, none is declared", (to(9999),), (), None),
        ("a number that is declared", (to(8080),), (HTTP,), None),
        ("a number of the other protocol", (to(8080, protocol="UDP"),), (HTTP,), None),
        ("the only number has another port leading to it", (to(9999, "a"), to(8080, "b", 81)), (HTTP,), None),
        ("two slips at once", (to("htpp", "a"), to("metric", "b", 81)), (HTTP, METRICS), {"a": "http", "b": "metrics"}),
        ("what is clear beside what is open", (to("htpp", "a"), to("x", "b", 81)),
         (HTTP, METRICS, ContainerPort("admin", 1)), {"a": "http"}),
    ],
)  # fmt: skip
def test_ports(
    why: str,
    ports: tuple[PortFacts, ...],
    offered: tuple[ContainerPort, ...],
    answer: dict[int | str, int | str] | None,
) -> None:
    asked = service({"app": "web"}, *ports, pods=2)
    assert said(repair(asked, (workload("web", *offered, app="web"), API))) == (
        None if answer is None else ({}, answer)
    )


def test_ports_of_several_workloads_behind_one_service_are_left_alone() -> None:
    asked = service({"tier": "front"}, to(9999), pods=2)
    blue = (workload(name, HTTP, app=name, tier="front") for name in ("blue", "green"))
    assert repair(asked, blue) is None


def test_label_and_port_are_repaired_together() -> None:
    found = repair(
        service({"app": "web", "tier": "font"}, to("htpp")), (workload("web", HTTP, app="web", tier="front"),)
    )
    assert said(found) == ({"tier": "front"}, {80: "http"})


def test_many_ports_at_once_are_told_in_few_words() -> None:
    ports = [to(f"port{n}x", f"p{n}", 80 + n) for n in range(8)]
    offered = [ContainerPort(f"port{n}xyz", 8000 + n) for n in range(8)]
    found = repair(service({"app": "web"}, *ports, pods=1), (workload("web", *offered, app="web"),))
    assert found is not None
    assert len(found.sentence) <= 400
    assert found.sentence.endswith("(and 6 more of the kind).")


def test_the_sentence_names_what_decides() -> None:
    found = repair(service({"app": "web", "tier": "font"}), (WEB, API))
    assert found is not None
    assert "tier=font" in found.sentence
    assert "only shop/Deployment/web bears all other labels" in found.sentence


@pytest.mark.parametrize(
    ("left", "right", "letters"),
    [("http", "http", 0), ("htpp", "http", 1), ("htp", "http", 1), ("", "ab", 2), ("web", "http", 4), ("ab", "ba", 2)],
)
def test_slips(left: str, right: str, letters: int) -> None:
    assert (slip(left, right), slip(right, left)) == (letters, letters)
