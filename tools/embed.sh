#!/bin/sh
# Prints a C source that holds a file's bytes: embed.sh NAME FILE
set -eu
printf '#include <stddef.h>\nextern const char %s[];\nextern const size_t %s_length;\n' "$1" "$1"
printf 'const char %s[] = {\n' "$1"
od -An -v -tx1 "$2" | sed 's/ \(..\)/0x\1,/g'
printf '0};\nconst size_t %s_length = sizeof(%s) - 1;\n' "$1" "$1"
