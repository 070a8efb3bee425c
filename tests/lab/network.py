"""The lab's wire: a bridge in a namespace of its own, a cable to each host, and its faults.

Addresses are of 192.0.2.0/24 (TEST-NET-1, RFC 5737): no packet can leave for a real network.
Faults are laid in the receiving host's packet filter, so nobody can tell them from a bad network.
"""

from __future__ import annotations

from tests.lab.host import Host, start_init, stop_init
from tests.lab.machine import run

PREFIX_LENGTH = 24
NETWORK = "192.0.2.0/24"
FILTER = (
    "add table inet lab\n"
    "add chain inet lab input { type filter hook input priority 0; policy accept; }\n"
)


class Network:
    def __init__(self) -> None:
        self._init = start_init({"root": None}, ["--net"])
        self._hosts: list[Host] = []
        self._ip(
            "link add br0 type bridge stp_state 0 forward_delay 0",
            "link set br0 addrgenmode none",
            "link set br0 up",
        )

    def _ip(self, *commands: str) -> None:
        enter = ["nsenter", "--target", str(self._init.pid), "--net", "--"]
        run([*enter, "ip", "-batch", "-"], input="\n".join(commands) + "\n")

    def connect(self, host: Host) -> None:
        """Give the host its address, and a cable to the bridge."""
        self._ip(
            f"link add {_cable(host)} type veth peer name eth0 address {_mac(host)}"
            f" netns {host.init_pid}",
            f"link set {_cable(host)} master br0 addrgenmode none",
            f"link set {_cable(host)} up",
        )
        commands = (
            "link set lo up",
            "link set eth0 addrgenmode none",
            f"addr add {host.address}/{PREFIX_LENGTH} dev eth0",
            "link set eth0 up",
        )
        host.run_in_network(["ip", "-batch", "-"], input="\n".join(commands) + "\n")
        host.run_in_network(["nft", "-f", "-"], input=FILTER)
        if host not in self._hosts:
            self._hosts.append(host)

    def cable_command(self, host: Host) -> list[str]:
        """What, followed by up or down, pulls the host's cable or puts it in."""
        enter = ["nsenter", "--target", str(self._init.pid), "--net", "--"]
        return [*enter, "ip", "link", "set", _cable(host)]

    def link_down(self, host: Host) -> None:
        """Pull the host's cable out of the bridge."""
        self._ip(f"link set {_cable(host)} down")

    def link_up(self, host: Host) -> None:
        self._ip(f"link set {_cable(host)} up")

    def drop(
        self, source: Host, target: Host, *, port: int | None = None, percent: int | None = None
    ) -> None:
        """Lose what `source` sends to `target`: that direction alone, answers included.

        `port`: only TCP packets *to* that port of `target`, of running connections too.
        `percent`: each packet with that probability, at random; else all of them.
        """
        words = [f"ip saddr {source.address}"]
        if port is not None:
            words.append(f"tcp dport {port}")
        if percent is not None:
            words.append(f"numgen random mod 100 < {percent}")
        rule = f"add rule inet lab input {' '.join(words)} counter drop\n"
        target.run_in_network(["nft", "-f", "-"], input=rule)

    def reject(self, source: Host, target: Host, port: int, answer: str = "tcp reset") -> None:
        """Refuse what `source` sends to that TCP port of `target`, of running connections too.

        `answer`: what it is told, in the words of nft (`icmp type host-prohibited`).
        """
        words = f"ip saddr {source.address} tcp dport {port} counter reject with {answer}"
        target.run_in_network(["nft", "-f", "-"], input=f"add rule inet lab input {words}\n")

    def drop_new(self, source: Host, target: Host, port: int) -> None:
        """Lose what begins a connection to that TCP port; what is established goes on."""
        words = f"ip saddr {source.address} tcp dport {port} tcp flags & (syn | ack) == syn"
        rule = f"add rule inet lab input {words} counter drop\n"
        target.run_in_network(["nft", "-f", "-"], input=rule)

    def cut_sessions(self, source: Host, target: Host, port: int) -> None:
        """Reset every connection of `source` to that TCP port of `target`; new ones go through."""
        sessions = ["state", "established", "sport", f"= :{port}", "dst", source.address]
        target.run_in_network(["ss", "--kill", "--tcp", "--no-header", *sessions])

    def part(self, one: Host, other: Host) -> None:
        """Neither hears the other."""
        self.drop(one, other)
        self.drop(other, one)

    def dropped(self, target: Host) -> int:
        """How many packets to `target` the rules of now have lost."""
        listing = target.run_in_network(["nft", "list", "chain", "inet", "lab", "input"])
        words = listing.split()
        return sum(
            int(words[position + 1]) for position, word in enumerate(words) if word == "packets"
        )

    def heal(self) -> None:
        """Every cable in, every packet through."""
        for host in self._hosts:
            self.link_up(host)
            host.run_in_network(["nft", "flush", "chain", "inet", "lab", "input"])

    def stop(self) -> None:
        stop_init(self._init)


def _mac(host: Host) -> str:
    """The same after each of its boots, as a network card's is."""
    return "02:00:" + ":".join(f"{int(part):02x}" for part in host.address.split("."))


def _cable(host: Host) -> str:
    return f"v-{host.name}"
