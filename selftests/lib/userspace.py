# SPDX-License-Identifier: GPL-2.0
"""WireGuard links of programs in user space, for the benchmarks: wireguard-go and boringtun-cli."""

import os
import shutil
import stat
import subprocess
import time

# As selftests/interop/interop.sh starts them: boringtun's sockets that are connected to an endpoint leave TCP next to nothing.
PROGRAMS = {
    "wireguard-go": ({"LOG_LEVEL": "error", "WG_I_PREFER_BUGGY_USERSPACE_TO_POLISHED_KMOD": "1"}, ["--foreground"]),
    "boringtun-cli": ({"WG_LOG_LEVEL": "error", "WG_SUDO": "1"}, ["--foreground", "--disable-drop-privileges", "--disable-connected-udp"]),
}


def prepare(program=None):
    """A machine for them; a program of the project's folder is copied into its memory."""
    subprocess.run(["modprobe", "-q", "tun"], check=False)
    if not os.path.exists("/dev/net/tun"):
        os.makedirs("/dev/net", exist_ok=True)
        os.mknod("/dev/net/tun", 0o666 | stat.S_IFCHR, os.makedev(10, 200))
    os.makedirs("/var/run/wireguard", exist_ok=True)
    if program:
        shutil.copy(program, "/usr/local/bin/")


def start(program, namespace, link):
    """The process, whose link is there."""
    variables, options = PROGRAMS[program]
    log = f"/tmp/{program}-{link}.log"
    with open(log, "w") as output:
        process = subprocess.Popen(["ip", "netns", "exec", namespace, program, *options, link], env={**os.environ, **variables},
                                   stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    for _ in range(1000):
        if subprocess.run(["ip", "netns", "exec", namespace, "wg", "show", link], capture_output=True, check=False).returncode == 0:
            return process
        time.sleep(0.01)
    process.kill()
    with open(log) as output:
        raise OSError(f"{program} makes no link: {output.read()}")
