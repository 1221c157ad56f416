#!/bin/sh
# Builds what Debian builds of libvirt's own QEMU daemon and leaves out of its packages
# (debian/not-installed), from Debian's source, as a tar for `pytest --modular TAR`.
# Needs root, mmdebstrap and five minutes; in a folder that is thrown away.
set -eu
out=$(realpath -m "${1:?the tar to write}")
release=${2:-trixie}
mirror=http://deb.debian.org/debian
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# testing's lists carry a date, and a cache of a mirror may be past it
mmdebstrap --quiet --variant=apt --aptopt='Acquire::Check-Valid-Until "false"' --include=build-essential,ca-certificates,curl,dpkg-dev,gettext,\
libacl1-dev,libapparmor-dev,libattr1-dev,libaudit-dev,libcap-ng-dev,libglib2.0-dev,libgnutls28-dev,\
libjson-c-dev,libnl-3-dev,libnl-route-3-dev,libnuma-dev,libpciaccess-dev,libsasl2-dev,libselinux1-dev,\
libtirpc-dev,libudev-dev,libxml2-dev,libxml2-utils,meson,ninja-build,pkgconf,python3-docutils,xsltproc \
    "$release" "$work/root" "$mirror"
echo "deb-src $mirror $release main" >"$work/root/etc/apt/sources.list.d/source.list"
cp /etc/resolv.conf "$work/root/etc/"
cat >"$work/root/build.sh" <<'BUILD'
set -eu
apt-get -q update
mkdir /src && cd /src
apt-get source --print-uris libvirt | sed -n "s/^'\([^']*\.tar\.xz\)' .*/\1/p" | xargs -n 1 curl -sSfO
tar -xf libvirt_*.orig.tar.xz
cd libvirt-*
tar -xf ../libvirt_*.debian.tar.xz
sed '/^#/d; s/ .*//' debian/patches/series | while read -r patch; do
    patch -s -p1 <"debian/patches/$patch"
done
# as debian/rules has it, as far as this daemon goes
meson setup build --auto-features=disabled --prefix=/usr --libdir="lib/$(gcc -print-multiarch)" \
    --sysconfdir=/etc --localstatedir=/var --libexecdir=/usr/lib/libvirt -Drunstatedir=/run \
    -Dapparmor=enabled -Dapparmor_profiles=enabled -Dattr=enabled -Daudit=enabled -Dcapng=enabled \
    -Ddocs=disabled -Ddriver_libvirtd=enabled -Ddriver_network=enabled -Ddriver_qemu=enabled \
    -Ddriver_remote=enabled -Ddriver_secrets=enabled -Dinit_script=systemd -Djson_c=enabled \
    -Dlibnl=enabled -Dnumactl=enabled -Dpciaccess=enabled -Dqemu_group=libvirt-qemu \
    -Dqemu_user=libvirt-qemu -Dsasl=enabled -Dsecdriver_apparmor=enabled -Dselinux=enabled \
    -Dstorage_dir=enabled -Dtests=disabled -Dudev=enabled
ninja -C build src/virtqemud
install -Ds build/src/virtqemud /out/usr/sbin/virtqemud
install -Dm 644 -t /out/usr/lib/systemd/system build/src/virtqemud.service build/src/virtqemud*.socket
install -Dm 644 -t /out/etc/libvirt build/src/virtqemud.conf
install -Dm 644 -t /out/etc/apparmor.d build/src/security/apparmor/usr.sbin.virtqemud
BUILD
chroot "$work/root" sh -e /build.sh
tar -C "$work/root/out" --owner=0 --group=0 -cf "$out" .
echo "$out"
