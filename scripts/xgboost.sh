#!/usr/bin/env bash
# Gets XGBoost's library and prints its file, which is the value of FORECASTLE_XGBOOST_LIB:
#
#     FORECASTLE_XGBOOST_LIB="$(scripts/xgboost.sh)" cargo test -p forecastle-models-tree
#
#     scripts/xgboost.sh [VERSION [FOLDER]]
#
# The library is that of the Python package xgboost-cpu, 6 MB, which runs without Python; of
# VERSION 2.0 that of xgboost, 300 MB, since there was no smaller one. Forecastle takes 2.0 to 3.4.
#
# FOLDER is ${XDG_CACHE_HOME:-$HOME/.cache}/forecastle/xgboost-VERSION unless given. A folder that is
# complete is kept as it is. Needs python3 with pip.
set -euo pipefail

version="${1:-3.4.1}"
folder="${2:-${XDG_CACHE_HOME:-$HOME/.cache}/forecastle/xgboost-$version}"
python="${PYTHON:-python3}"

die() { echo "xgboost.sh: $*" >&2; exit 1; }

find_library() {
    # It finds its own parts by its folder, so it stays where the package has it.
    find "$folder/xgboost/lib" \
        \( -name libxgboost.so -o -name libxgboost.dylib -o -name xgboost.dll \) -print -quit \
        2>/dev/null
}

if [ -z "$(find_library)" ]; then
    case "$version" in
        2.0.*) package=xgboost ;;
        *) package=xgboost-cpu ;;
    esac
    mkdir -p "$(dirname "$folder")"
    # Beside the result, so that moving it there is a rename: another run sees all or nothing.
    work="$(mktemp -d "$folder.XXXXXX")"
    trap 'rm -rf "$work"' EXIT
    # The library does not depend on Python's version; an older pip would stop at an older XGBoost.
    "$python" -m pip download --quiet --disable-pip-version-check --no-cache-dir --no-deps \
        --only-binary=:all: --python-version 3.13 --dest "$work" "$package==$version" >&2
    mkdir "$work/unpacked"
    "$python" -m zipfile -e "$work"/*.whl "$work/unpacked" >&2
    if ! mv "$work/unpacked" "$folder" 2>/dev/null; then
        [ -n "$(find_library)" ] || die "cannot write $folder"
    fi
fi
library="$(find_library)"
[ -n "$library" ] || die "no library in $folder"
echo "$library"
