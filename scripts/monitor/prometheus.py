# SPDX-License-Identifier: GPL-2.0
"""prometheus: the counters as metrics, for the textfile collector of Prometheus's node_exporter."""

import sys

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from tunnels import Tunnels

LABELS = ["device", "public_key"]

# Metric, what it is, and where a peer's figure is found: the names of attributes, from the outermost on.
COUNTERS = (
    ("receive_bytes", "Bytes received from the peer.", "rx_bytes"),
    ("transmit_bytes", "Bytes sent to the peer.", "tx_bytes"),
    ("receive_packets", "Packets received from the peer.", "rx_packets"),
    ("transmit_packets", "Packets sent to the peer.", "tx_packets"),
    ("sessions", "Sessions that were established.", "handshakes", "sessions"),
    ("initiations_sent", "Handshake initiations sent.", "handshakes", "initiations_sent"),
    ("initiations_received", "Handshake initiations received and answered.", "handshakes", "initiations_received"),
    ("initiations_refused", "Handshake initiations that were authentic and not answered.", "handshakes", "initiations_refused"),
    ("handshakes_given_up", "Handshakes given up after the last attempt.", "handshakes", "given_up"),
    ("path_received_packets", "Data messages from the peer that were authentic and new.", "path", "received"),
    ("path_lost_packets", "Data messages from the peer that were lost on the way.", "path", "lost"),
    ("path_reordered_packets", "Data messages from the peer that were overtaken on the way.", "path", "reordered"),
    ("path_duplicate_packets", "Data messages from the peer that came more than once.", "path", "duplicate"),
    ("preshared_key_changes", "Changes of the preshared key.", "preshared_key_generation"),
)
# The same, and what makes a base unit of it.
GAUGES = (
    ("last_handshake_timestamp_seconds", "When the last session was established; absent if never.", 1e9, "last_handshake"),
    ("handshake_round_trip_seconds", "Round-trip time of the last handshake that this side began.", 1e6, "path", "rtt_us"),
    ("waiting_packets", "Packets that wait for a session.", 1, "waiting"),
    ("waiting_seconds", "For how long the oldest of them has waited.", 1e3, "waiting_ms"),
    ("has_preshared_key", "Whether a preshared key is set.", 1, "has_preshared_key"),
)


def find(peer, names):
    for name in names:
        peer = peer.get(name)
        if peer is None:
            return None
    return peer


class Collector:
    def __init__(self, devices):
        self._devices = devices

    def collect(self):
        counts = GaugeMetricFamily("wireguard_device_peers", "Peers of the device.", labels=["device"])
        for device in self._devices:
            counts.add_metric([device["ifname"]], len(device["peers"]))
        yield counts
        peers = [([device["ifname"], peer["public_key"]], peer) for device in self._devices for peer in device["peers"]]
        for name, what, *where in COUNTERS:
            family = CounterMetricFamily(f"wireguard_peer_{name}", what, labels=LABELS)
            for labels, peer in peers:
                family.add_metric(labels, find(peer, where) or 0)
            yield family
        for name, what, divisor, *where in GAUGES:
            family = GaugeMetricFamily(f"wireguard_peer_{name}", what, labels=LABELS)
            for labels, peer in peers:
                figure = find(peer, where)
                if figure is not None and (figure or name != "last_handshake_timestamp_seconds"):
                    family.add_metric(labels, figure / divisor)
            yield family
        drops = CounterMetricFamily("wireguard_peer_dropped_packets", "Packets of the peer that were dropped.", labels=[*LABELS, "cause"])
        for labels, peer in peers:
            for cause, number in peer["drops"].items():
                drops.add_metric([*labels, cause], number)
        yield drops


def run(_arguments):
    registry = CollectorRegistry()
    registry.register(Collector(Tunnels().everything()))
    sys.stdout.write(generate_latest(registry).decode())
