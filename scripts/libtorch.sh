#!/usr/bin/env bash
# Gets libtorch for the cargo feature `tch` and prints its folder, which is the value of LIBTORCH:
#
#     LIBTORCH="$(scripts/libtorch.sh)" cargo test -p forecastle-models-deep --features tch
#
#     scripts/libtorch.sh [--cuda] [FOLDER]
#
# Without --cuda: the processor's part alone, 430 MB (540 MB are fetched), for Linux on x86-64.
# The packages of PyTorch hold the same libraries as its own archive of libtorch, and Python's
# package index is mirrored where that archive is not. With --cuda: PyTorch with all that NVIDIA's
# GPUs need, 4.7 GB, in a virtual environment under FOLDER.
#
# FOLDER is ${XDG_CACHE_HOME:-$HOME/.cache}/forecastle/libtorch-VERSION[-cuda] unless given. A folder
# that is complete is kept as it is. Needs python3 with pip (and venv, for --cuda).
set -euo pipefail

# torch-sys accepts this version alone: tch 0.26 goes with 2.13.0.
VERSION=2.13.0
# What libtorch_cpu.so of that version was linked with.
CUDA=13.0

die() { echo "libtorch.sh: $*" >&2; exit 1; }

cuda=
folder=
for argument in "$@"; do
    case "$argument" in
        --cuda) cuda=-cuda ;;
        -*) die "unknown option $argument" ;;
        *) folder="$argument" ;;
    esac
done
folder="${folder:-${XDG_CACHE_HOME:-$HOME/.cache}/forecastle/libtorch-$VERSION$cuda}"
python="${PYTHON:-python3}"

if [ -n "$cuda" ]; then
    find_torch() {
        "$folder/bin/python" -c 'import sysconfig; print(sysconfig.get_path("platlib") + "/torch")'
    }
    if ! [ -e "$folder/complete" ]; then
        "$python" -m venv "$folder" >&2
        "$folder/bin/python" -m pip install --quiet --no-cache-dir "torch==$VERSION" >&2
        [ -e "$(find_torch)/lib/libtorch_cuda.so" ] || die "PyTorch for this platform has no CUDA"
        touch "$folder/complete"
    fi
    find_torch
    exit
fi

if ! [ -e "$folder/build-version" ]; then
    [ "$(uname -sm)" = "Linux x86_64" ] || die "for Linux on x86-64 only; see docs/libtorch.md"
    mkdir -p "$(dirname "$folder")"
    # Beside the result, so that moving it there is a rename: another run sees all or nothing.
    work="$(mktemp -d "$folder.XXXXXX")"
    trap 'rm -rf "$work"' EXIT
    "$python" -m pip download --quiet --disable-pip-version-check --no-cache-dir --no-deps \
        --only-binary=:all: --python-version 3.12 --implementation cp \
        --platform manylinux_2_28_x86_64 --platform manylinux_2_25_x86_64 \
        --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 \
        --dest "$work" "torch==$VERSION" "nvidia-cuda-cupti==$CUDA.*" "nvidia-cuda-runtime==$CUDA.*" >&2
    "$python" - "$work" "$VERSION" >&2 <<'EOF'
import os, pathlib, shutil, sys, zipfile

work, version = pathlib.Path(sys.argv[1]), sys.argv[2]
made = work / "libtorch"
(made / "lib").mkdir(parents=True)
# Without libtorch_cuda.so: torch-sys links it when it is there, and it needs 4 GB of others.
wanted = {"libtorch_cpu.so", "libc10.so", "libgomp.so.1", "libcudart.so.13", "libcupti.so.13"}
for wheel in work.glob("*.whl"):
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            path = pathlib.PurePosixPath(name)
            if name.endswith("/"):
                continue
            if path.parts[:2] == ("torch", "include"):
                out = made.joinpath(*path.parts[1:])
            elif path.name in wanted and path.parent.name == "lib":
                out = made / "lib" / path.name
            else:
                continue
            out.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(name) as source, open(out, "wb") as target:
                shutil.copyfileobj(source, target)
missing = wanted - set(os.listdir(made / "lib"))
if missing:
    sys.exit(f"the packages lack {', '.join(sorted(missing))}")
# The package's libtorch.so is empty but for needing libtorch_cpu.so and libtorch_cuda.so.
os.symlink("libtorch_cpu.so", made / "lib/libtorch.so")
os.symlink("libgomp.so.1", made / "lib/libgomp.so")
(made / "build-version").write_text(version + "\n")
EOF
    mv -T "$work/libtorch" "$folder" || [ -e "$folder/build-version" ] || die "cannot write $folder"
fi
echo "$folder"
