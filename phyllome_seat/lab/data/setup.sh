#!/bin/sh
# Runs inside the new system, before its disk is made: turns a plain Debian into the lab's PC.
# Arguments: boot loader (grub or systemd-boot), UUID of the root file system.
set -eu
loader=$1
root_uuid=$2
cmdline='intel_iommu=on iommu=pt nohz=off highres=off console=tty0 console=ttyS0'  # the tick: lab/boot.py

echo pc >/etc/hostname
printf '127.0.0.1 localhost\n127.0.1.1 pc\n' >/etc/hosts
sed -i 's/^root:[^:]*:/root::/' /etc/shadow
cat >/etc/fstab <<FSTAB
UUID=$root_uuid / ext4 defaults,errors=remount-ro 0 1
LABEL=ESP /boot/efi vfat umask=0077,nofail,x-systemd.device-timeout=90 0 1
FSTAB
mkdir -p /boot/efi

cat >/etc/systemd/network/50-lan.network <<NETWORK
[Match]
Name=en* eth*
[Network]
DHCP=ipv4
NETWORK
systemctl enable systemd-networkd.service libvirtd.service
systemctl disable systemd-networkd-wait-online.service
# Clock work of a PC that lives for months; in one that lives for minutes it only steals time.
systemctl mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
  fstrim.timer logrotate.timer man-db.timer e2scrub_reap.service systemd-random-seed.service \
  grub-common.service
# `phyllome-seat lab shell` comes in here.
mkdir -p /etc/systemd/system/serial-getty@ttyS1.service.d
cat >/etc/systemd/system/serial-getty@ttyS1.service.d/autologin.conf <<GETTY
[Service]
ExecStart=
ExecStart=-/sbin/agetty --autologin root --keep-baud 115200 - \$TERM
GETTY
systemctl enable serial-getty@ttyS1.service
mkdir -p /var/log/journal

# Monitors of the lab: cards ask the kernel for EDID files by connector name (parameter edid_firmware
# of drm), and a connector's name says in which order drivers came, not on which card it is. So for
# each card that comes the names are looked up, and a card that came up with another's EDID, or none
# of ours, is bound anew: drivers read EDID once (bochs) or when QEMU says so (virtio_gpu).
mkdir -p /lib/firmware/phyllome-lab
cat >/usr/local/sbin/lab-edid <<'EDID'
#!/bin/sh
files=/lib/firmware/phyllome-lab
state=/run/phyllome-lab
mkdir -p $state
exec 9>$state/lock
flock 9
pci_of() { readlink -f "$1/device/device" | grep -o '[0-9a-f]\{4\}:[0-9a-f:]*\.[0-7]' | tail -n 1; }
wanted=
# A name in the parameter is matched as a prefix: Virtual-10 must come before Virtual-1.
for connector in $(ls -d /sys/class/drm/card*-* | sort -Vr); do
  name=${connector##*/}
  pci=$(pci_of "$connector")
  [ -e "$files/$pci.bin" ] && wanted="$wanted${wanted:+,}${name#card*-}:phyllome-lab/$pci.bin"
done
printf %s "$wanted" >/sys/module/drm/parameters/edid_firmware
echo "options drm edid_firmware=$wanted" >/etc/modprobe.d/phyllome-lab.conf
for connector in /sys/class/drm/card*-*; do
  pci=$(pci_of "$connector")
  [ -e "$files/$pci.bin" ] || continue
  tried=$state/$pci-${connector##*/}
  # From a pipe: a file of sysfs has no size, and cmp takes files of unequal sizes for different.
  if cat "$connector/edid" | cmp -s - "$files/$pci.bin"; then
    rm -f "$tried"
  elif [ "$(cat "$tried" 2>/dev/null)" != xxx ]; then
    # more than once: two cards that come at a time may take each other's name meanwhile
    printf x >>"$tried"
    device=$(readlink -f "$connector/device/device")
    driver=$(readlink -f "$device/driver")
    echo "${device##*/}" >"$driver/unbind"
    echo "${device##*/}" >"$driver/bind"
  fi
done
EDID
chmod +x /usr/local/sbin/lab-edid
cat >/etc/udev/rules.d/99-phyllome-lab.rules <<'RULE'
ACTION=="add", SUBSYSTEM=="drm", KERNEL=="card[0-9]*", ENV{DEVTYPE}=="drm_minor", RUN+="/usr/local/sbin/lab-edid"
RULE

# The disk's own modules by name: what MODULES=dep would find, were this the running PC.
printf '%s\n' virtio_pci virtio_blk ahci sd_mod nvme ext4 >>/etc/initramfs-tools/modules
mkdir -p /etc/initramfs-tools/conf.d
echo MODULES=list >/etc/initramfs-tools/conf.d/lab
update-initramfs -u

python3 -m venv --system-site-packages /opt/phyllome-seat
ln -s /opt/phyllome-seat/bin/phyllome-seat /usr/local/bin/phyllome-seat

mkdir -p /boot/lab-esp/EFI/BOOT
kernel=$(basename /boot/vmlinuz-*)
version=${kernel#vmlinuz-}
case $loader in
grub)
  sed -i -e "s|^GRUB_CMDLINE_LINUX=.*|GRUB_CMDLINE_LINUX=\"$cmdline\"|" \
    -e 's|^GRUB_TIMEOUT=.*|GRUB_TIMEOUT=0|' -e 's|^GRUB_CMDLINE_LINUX_DEFAULT=.*|GRUB_CMDLINE_LINUX_DEFAULT=""|' \
    /etc/default/grub
  # grub-install and update-grub ask the running machine for its disks, so the first start is by
  # this configuration; the PC then runs both itself and is from then on as Debian's installer leaves it.
  mkdir -p /boot/grub
  cat >/boot/grub/grub.cfg <<GRUB
linux /boot/$kernel root=UUID=$root_uuid ro $cmdline
initrd /boot/initrd.img-$version
boot
GRUB
  cat >/tmp/early.cfg <<GRUB
search --no-floppy --fs-uuid --set=root $root_uuid
set prefix=(\$root)/boot/grub
configfile \$prefix/grub.cfg
GRUB
  grub-mkimage -O x86_64-efi -o /boot/lab-esp/EFI/BOOT/BOOTX64.EFI -p /boot/grub -c /tmp/early.cfg \
    part_gpt ext2 search search_fs_uuid configfile linux normal echo boot
  ;;
systemd-boot)
  esp=/boot/lab-esp
  mkdir -p $esp/EFI/systemd $esp/loader/entries $esp/pc
  cp /usr/lib/systemd/boot/efi/systemd-bootx64.efi $esp/EFI/systemd/
  cp /usr/lib/systemd/boot/efi/systemd-bootx64.efi $esp/EFI/BOOT/BOOTX64.EFI
  cp /boot/vmlinuz-* $esp/pc/linux
  cp /boot/initrd.img-* $esp/pc/initrd
  echo "root=UUID=$root_uuid ro $cmdline" >/etc/kernel/cmdline
  printf 'timeout 0\n' >$esp/loader/loader.conf
  cat >$esp/loader/entries/pc.conf <<ENTRY
title Debian
linux /pc/linux
initrd /pc/initrd
options root=UUID=$root_uuid ro $cmdline
ENTRY
  ;;
esac
# All of /usr is as its services want it: nothing to update at the first boot.
touch /etc/.updated /var/.updated
