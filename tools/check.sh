#!/bin/bash
# Everything that decides whether a change is good: builds with gcc and clang, all tests, lint. Needs root (BPF, namespaces) and
# says loudly what it could not run; nothing that was skipped counts as passed. `check.sh [STEP...]` runs some steps only.
set -u -o pipefail
cd "$(dirname "$0")/.." || exit

steps=()
failed=()
jobs=$(nproc)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

step() { # step NAME COMMAND...: runs it unless other steps were asked for
	local name=$1
	shift
	if [ ${#wanted[@]} -gt 0 ] && [[ ! " ${wanted[*]} " == *" $name "* ]]; then
		return
	fi
	steps+=("$name")
	printf '\n==== %s\n' "$name"
	local started=$SECONDS
	if "$@" 2>&1 | tee "$scratch/$name"; then
		printf '==== %s: ok (%d s)\n' "$name" $((SECONDS - started))
	else
		printf '==== %s: FAILED (%d s)\n' "$name" $((SECONDS - started))
		failed+=("$name")
	fi
}

wanted=("$@")

# What the test runners and compilers said of what failed, once more, where a log is read first: at its end.
retell() { # retell STEP
	printf '\n---- %s\n' "$1"
	grep -aE -A 6 '✖|\[  (ERROR|FAILED)|error:|left behind|did NOT run|SUMMARY: ' "$scratch/$1" | cut -c1-400 | tail -n 60
}

need_root() {
	[ "$(id -u)" = 0 ] && return
	echo "make check needs root for BPF, cgroups and network namespaces: sudo make check" >&2
	exit 77
}

format() { git ls-files '*.c' '*.h' | xargs clang-format --dry-run -Werror; }
build_gcc() { make -s -j"$jobs" all unit-tests; }
build_clang() { make -s -j"$jobs" CC=clang all unit-tests; }
unit() { make -s check-unit; }
unit_address() { make -s -j"$jobs" CC=clang SANITIZER=address unit-tests && make -s CC=clang SANITIZER=address check-unit; }
unit_thread() { make -s -j"$jobs" CC=clang SANITIZER=thread unit-tests && make -s CC=clang SANITIZER=thread check-unit; }
conformance() { make -s -j"$jobs" check-conformance; }
conformance_address() { make -s -j"$jobs" CC=clang SANITIZER=address check-conformance; }
fuzz() { make -s -j"$jobs" CC=clang SANITIZER=fuzzer fuzz-targets && tools/fuzz-briefly.sh build/clang-fuzzer/fuzz "${FUZZ_SECONDS:-3}"; }
integration() { make -s -j"$jobs" integration-tests && make -s check-integration; }
kernels() { make -s -j"$jobs" check-kernels; }
end_to_end() { make -s check-e2e; }
sanitized_programs() { make -s -j"$jobs" CC=clang SANITIZER=address all && make -s -j"$jobs" CC=clang SANITIZER=thread all; }
end_to_end_sanitized() { SPENDGATE_BUILD="build/clang-address build/clang-thread" tests/e2e/run.sh --brief; }
docker_engine() { tests/docker/run.sh; }
package() { make -s check-package; }
demo() { make -s demo; }
static_analysis() { tools/analyze.sh; }

need_root
tools/check-leftovers.sh --list > "$scratch/known"
[ ! -s "$scratch/known" ] || sed 's/^/there before this check, and not judged: /' "$scratch/known"
step dependencies tools/install-dependencies.sh test
step format format
step layers tools/check-layers
step style tools/check-style
step docs tools/check-docs
step build-gcc build_gcc
step build-clang build_clang
step unit unit
step unit-address-sanitizer unit_address
step unit-thread-sanitizer unit_thread
step conformance conformance
step conformance-address-sanitizer conformance_address
step integration integration
step kernels kernels
step fuzz fuzz
step static-analysis static_analysis
step sanitized-programs sanitized_programs
step end-to-end end_to_end
step end-to-end-sanitizers end_to_end_sanitized
step docker docker_engine
step package package
step demo demo
step leftovers tools/check-leftovers.sh "$scratch/known"

for name in "${failed[@]}"; do
	retell "$name"
done
printf '\n%s\n' "steps: ${steps[*]}"
[ ${#failed[@]} -eq 0 ] || printf 'FAILED: %s\n' "${failed[*]}"
printf '%d passed, %d failed\n' $((${#steps[@]} - ${#failed[@]})) ${#failed[@]}
[ ${#failed[@]} -eq 0 ]
