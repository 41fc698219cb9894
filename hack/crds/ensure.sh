#!/usr/bin/env bash
# Prints a directory with one folder for each operator of modules.txt, which holds its CustomResourceDefinitions. They are
# taken out of the operators' Go modules, some 60 MB once, into a cache outside the tree.
#
# Progress goes to standard error, the directory alone to standard output.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

hash=$(git -C "$here" hash-object modules.txt | cut -c1-12)
parent=${XDG_CACHE_HOME:-$HOME/.cache}/k8s-vectordb-sync/crds
dir=$parent/$hash
if [ ! -d "$dir" ]; then
  mkdir -p "$parent"
  making=$(mktemp -d "$parent/.making.XXXXXX")
  trap 'rm -rf "$making"' EXIT
  while read -r name module version sum folder; do
    echo "crds: $name from $module $version" >&2
    # Outside of any module, so that nothing of what these depend on is looked at. The checksum is compared by hand for the
    # same reason.
    answer=$(cd "$making" && GOWORK=off GOFLAGS=-mod=mod go mod download -json "$module@$version")
    field() { sed -n "s/^\t\"$1\": \"\(.*\)\",\{0,1\}$/\1/p" <<<"$answer"; }
    if [ "$(field Sum)" != "$sum" ]; then
      echo "crds: $module $version has the checksum $(field Sum), want $sum" >&2
      exit 1
    fi
    mkdir "$making/$name"
    for file in "$(field Dir)/$folder"/*.yaml; do
      if grep -q '^kind: CustomResourceDefinition$' "$file"; then
        install -m 0644 "$file" "$making/$name/"
      fi
    done
  done < <(grep -v '^#' "$here/modules.txt")
  chmod 0755 "$making"
  # Somebody who was quicker has made the same.
  mv -T "$making" "$dir" 2>/dev/null || [ -d "$dir" ]
fi
echo "$dir"
