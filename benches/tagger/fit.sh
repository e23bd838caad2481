#!/bin/sh
# Makes the taggers of the binary again, byte for byte.
#
#     benches/tagger/fit.sh ../shared/data WORK TEMPLATES DIAPASON
#
# SOURCES.toml in the data says where it comes from; TEMPLATES is a checkout of
# yizhongw/self-instruct, DIAPASON the
# binary. No text goes into a tagger: it holds one byte for every hashed feature and class.
set -eu
data=$1 work=$2 templates=$3 diapason=$4
here=$(dirname "$0")
embedded=$here/../../crates/diapason-markers/src/tagger/default
python3 "$here/corpus.py" "$data" "$work" --templates "$templates"
for marker in domain task; do
    "$diapason" mark fit-tagger "$work/fit.jsonl" --marker $marker --bits 15 --balance 0.5 \
        --others "$work/choose.jsonl" --precision 0.65 --out "$embedded/$marker.tagger"
done
