#!/bin/sh
# Prints an assembler source that holds a file's bytes, aligned and read-only: embed-table.sh NAME FILE
set -eu
printf '\t.section .rodata\n\t.globl %s\n\t.type %s, %%object\n\t.balign 64\n%s:\n\t.incbin "%s"\n\t.size %s, . - %s\n' "$1" "$1" "$1" "$2" "$1" "$1"
printf '\t.section .note.GNU-stack,"",%%progbits\n'
