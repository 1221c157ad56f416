"""What a refusal must leave as it is, as text: our files, drivers, domains."""

# The lock names who had it last: it is written by who is refused, too.
_LOOK = """\
find /etc /run/phyllome-seat /var/lib/phyllome-seat -type f ! -name lock -exec sha256sum {} + \
  2>/dev/null | sort -k 2
for function in /sys/bus/pci/devices/*; do
  echo $function $(readlink $function/driver) $(cat $function/driver_override)
done
virsh -q list --all
for name in $(virsh -q list --all --name); do virsh dumpxml --inactive --security-info $name; done
"""


def look(pc):
    """Returns lines to compare with those of another look."""
    lines = pc.run(_LOOK, timeout_s=120).stdout.splitlines()
    assert any("/etc/passwd" in line for line in lines)
    assert any("bochs-drm" in line or "vfio-pci" in line for line in lines)
    assert any("<name>left</name>" in line for line in lines)
    return lines
