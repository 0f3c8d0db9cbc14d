#!/bin/bash
# Builds the Debian package from the tree, without what git ignores, in build/deb.
set -eu
cd "$(dirname "$0")/.."

version=$(sed -n '1s/.*(\(.*\)).*/\1/p' debian/changelog)
source=build/deb/spendgate-$version
rm -rf build/deb
mkdir -p "$source"
git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$source"
(cd "$source" && dpkg-buildpackage --build=binary --no-sign -j"$(nproc)") > build/deb/build.log 2>&1 || { tail -30 build/deb/build.log >&2; exit 1; }
ls build/deb/*.deb
