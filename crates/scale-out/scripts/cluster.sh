#!/usr/bin/env bash
# A scheduler and N executors on this machine.
#
#   cluster.sh start N [--port PORT] [--tasks TASKS] [--memory MIB] [--log LEVEL] [--dir DIR]
#   cluster.sh status [--dir DIR]
#   cluster.sh stop [--dir DIR]
#
# start   waits until the scheduler and all executors are ready and prints the scheduler's address;
#         a cluster that runs already is left as it is.
# status  prints what runs; exit code 1 when not everything does.
# stop    asks everything to stop, and kills after 5 s what has not; nothing running is no error.
#
# PORT    the scheduler's port; 0 takes a free one (default 50050)
# TASKS   concurrent tasks an executor (default: the cores, shared evenly, at least 1)
# MIB     memory an executor (default: 70 % of what is free at the start, shared evenly)
# LEVEL   error, warn, info or debug (default warn)
# DIR     process ids, logs and results (default ${XDG_RUNTIME_DIR:-/tmp}/forecastle-cluster)
#
# The programs come from FORECASTLE_BIN_DIR, or else from the release build of this workspace.
set -euo pipefail

die() {
    printf 'cluster.sh: %s\n' "$1" >&2
    exit 1
}

usage() {
    sed -n '2,/^set -euo/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"
}

number() { # name value least
    [[ $2 =~ ^[0-9]{1,9}$ ]] && ((10#$2 >= $3)) || die "$1 must be a number >= $3, got '$2'"
}

binaries() {
    if [[ -n ${FORECASTLE_BIN_DIR:-} ]]; then
        bin=$FORECASTLE_BIN_DIR
    else
        bin=${CARGO_TARGET_DIR:-$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/target}/release
    fi
    local program
    for program in forecastle-scheduler forecastle-executor; do
        [[ -x $bin/$program ]] || die "$bin/$program is missing: cargo build --release, or set FORECASTLE_BIN_DIR"
    done
}

exists() { # pid file
    local pid
    [[ -f $1 ]] && pid=$(<"$1") && [[ $pid =~ ^[0-9]+$ ]] || return 1
    case $(ps -o state= -p "$pid" 2>/dev/null) in
        '' | Z*) return 1 ;;
        *) return 0 ;;
    esac
}

# A process id is ours only while the program that we started still has it.
alive() { # pid file
    exists "$1" && [[ $(ps -o comm= -p "$(<"$1")" 2>/dev/null) == forecastle* ]]
}

pid_files() {
    local file
    for file in "$dir"/executor-*.pid "$dir"/scheduler.pid; do
        [[ -f $file ]] && printf '%s\n' "$file"
    done
    return 0
}

launch() { # name program arguments...
    local name=$1 program=$2
    shift 2
    nohup "$bin/$program" --log "$log" "$@" </dev/null >"$dir/$name.out" 2>"$dir/$name.log" &
    printf '%s\n' "$!" >"$dir/$name.pid"
}

await() { # name words
    local turn
    for ((turn = 0; turn < 300; turn++)); do
        grep -q "^$2" "$dir/$1.out" 2>/dev/null && return 0
        exists "$dir/$1.pid" || break
        sleep 0.1
    done
    if grep -q "^$2" "$dir/$1.out" 2>/dev/null; then
        return 0
    fi
    local why
    why=$(tail -n 1 "$dir/$1.log" 2>/dev/null || true)
    stop
    die "$1 did not get ready: ${why:-no message} (see $dir/$1.log)"
}

start() {
    local file running=0
    while read -r file; do
        if alive "$file"; then running=1; fi
    done < <(pid_files)
    if ((running)); then
        if status >/dev/null; then
            status
            return 0
        fi
        die "a part of a cluster runs in $dir: stop it first"
    fi
    binaries
    mkdir -p "$dir"
    chmod 700 "$dir"
    [[ -O $dir ]] || die "$dir belongs to somebody else"
    rm -rf "$dir"/*.pid "$dir"/*.out "$dir"/*.log "$dir"/work-*

    if [[ -z $tasks ]]; then
        tasks=$(($(nproc) / executors))
        ((tasks > 0)) || tasks=1
    fi
    if [[ -z $memory ]]; then
        memory=$(awk -v n="$executors" '/^MemAvailable:/ { printf "%d", $2 / 1024 * 0.7 / n }' /proc/meminfo)
        [[ -n $memory ]] || die "--memory is needed: /proc/meminfo does not tell"
    fi
    launch scheduler forecastle-scheduler --port "$port"
    await scheduler 'scheduler listening on '
    local address index
    address=$(sed -n 's/^scheduler listening on //p' "$dir/scheduler.out")
    for ((index = 1; index <= executors; index++)); do
        mkdir -p "$dir/work-$index"
        launch "executor-$index" forecastle-executor --scheduler "$address" \
            --concurrent-tasks "$tasks" --memory "$memory" --work-dir "$dir/work-$index"
    done
    for ((index = 1; index <= executors; index++)); do
        await "executor-$index" 'executor ready: '
    done
    printf '%s\n' "$executors" >"$dir/executors"
    status
}

status() {
    local expected count=0 index
    if ! alive "$dir/scheduler.pid"; then
        printf 'no scheduler runs in %s\n' "$dir"
        return 1
    fi
    printf 'scheduler %s (process %s)\n' \
        "$(sed -n 's/^scheduler listening on //p' "$dir/scheduler.out")" "$(<"$dir/scheduler.pid")"
    expected=$(cat "$dir/executors" 2>/dev/null || printf 0)
    for ((index = 1; index <= expected; index++)); do
        if alive "$dir/executor-$index.pid"; then
            count=$((count + 1))
        else
            printf 'executor %s does not run (see %s)\n' "$index" "$dir/executor-$index.log"
        fi
    done
    printf '%s of %s executors run, logs in %s\n' "$count" "$expected" "$dir"
    ((expected > 0 && count == expected))
}

stop() {
    local file files=() turn left
    while read -r file; do
        files+=("$file")
        # Executors come first: they tell the scheduler.
        if alive "$file"; then kill -TERM "$(<"$file")" 2>/dev/null || true; fi
    done < <(pid_files)
    for ((turn = 0; turn < 50; turn++)); do
        left=0
        for file in ${files[@]+"${files[@]}"}; do
            if alive "$file"; then left=1; fi
        done
        ((left)) || break
        sleep 0.1
    done
    for file in ${files[@]+"${files[@]}"}; do
        if alive "$file"; then kill -KILL "$(<"$file")" 2>/dev/null || true; fi
        rm -f "$file"
    done
    rm -rf "$dir"/work-* "$dir/executors"
}

command=${1:-}
shift || true
dir=${XDG_RUNTIME_DIR:-/tmp}/forecastle-cluster
port=50050 tasks='' memory='' log=warn executors=''
if [[ $command == start ]]; then
    executors=${1:-}
    number N "$executors" 1
    executors=$((10#$executors))
    shift
fi
while (($#)); do
    (($# >= 2)) || die "$1 needs a value"
    case $1 in
        --port) number --port "$2" 0 && port=$2 ;;
        --tasks) number --tasks "$2" 1 && tasks=$2 ;;
        --memory) number --memory "$2" 1 && memory=$2 ;;
        --log) log=$2 ;;
        --dir) dir=$2 ;;
        *) die "unknown option $1" ;;
    esac
    shift 2
done
case $command in
    start) start ;;
    status) status ;;
    stop) stop ;;
    -h | --help | help) usage ;;
    *)
        usage >&2
        exit 2
        ;;
esac
