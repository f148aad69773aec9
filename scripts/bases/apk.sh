#!/bin/sh
# A stand-in for Alpine's apk: installs, without a network, the packages that the image carries in /usr/share/apk-offline
# and knows no others. Made for slipway's examples and tests, not for anything else.
#
# INDEX has one line for each package: name|version|archive or -|installed size in KiB|dependencies
repository=/usr/share/apk-offline
installed=/lib/apk/db/installed
virtual=/lib/apk/db/virtual
world=/etc/apk/world

fail() {
  echo "ERROR: $*" >&2
  exit 1
}

say() {
  [ -n "$quiet" ] || echo "$*"
}

column() { # NAME NUMBER
  awk -F'|' -v name="$1" -v number="$2" '$1 == name { print $number; exit }' "$repository/INDEX"
}

is_known() {
  [ -e "$virtual/$1" ] || grep -q "^$1|" "$repository/INDEX"
}

is_installed() {
  grep -qx "P:$1" "$installed"
}

dependencies() {
  if [ -e "$virtual/$1" ]; then cat "$virtual/$1"; else column "$1" 5; fi
}

# Appends the package to $order, after what it depends on.
visit() {
  case " $order " in *" $1 "*) return ;; esac
  local dependency
  for dependency in $(dependencies "$1"); do visit "$dependency"; done
  order="$order $1"
}

summary() {
  say "OK: $(
    sed -n 's/^P://p' "$installed" | awk -F'|' '
      FNR == NR { size[$1] = $4; next }
      { sum += size[$1]; count++ }
      END { printf "%d MiB in %d packages", sum / 1024, count }' "$repository/INDEX" -
  )"
}

check_names() { # NAME...
  local name report=
  for name; do
    is_known "$name" && continue
    report="$report
  $name (no such package):
    required by: world[$name]"
  done
  [ -z "$report" ] || fail "unable to select packages:$report"
}

install() { # NAME...: in the order given
  local name archive version number=0 count=0
  for name; do is_installed "$name" || count=$((count + 1)); done
  for name; do
    is_installed "$name" && continue
    number=$((number + 1))
    version=$(column "$name" 2)
    archive=$(column "$name" 3)
    say "($number/$count) Installing $name (${version:-virtual})"
    if [ -n "$archive" ] && [ "$archive" != - ]; then
      xzcat "$repository/$archive" | tar -x -C / || fail "$name: cannot unpack $repository/$archive"
    fi
    printf 'P:%s\nV:%s\n\n' "$name" "${version:-0}" >> "$installed"
  done
}

remove() { # NAME
  local archive path
  say "Purging $1 ($(column "$1" 2))"
  archive=$(column "$1" 3)
  if [ -n "$archive" ] && [ "$archive" != - ]; then
    # From the deepest path up; a directory goes when this has left it empty.
    xzcat "$repository/$archive" | tar -t | sort -r | while read -r path; do
      case $path in
        */) rmdir "/$path" 2>/dev/null ;;
        *) rm -f "/$path" ;;
      esac
    done
  fi
  rm -f "$virtual/$1"
  awk -v name="P:$1" 'BEGIN { RS = ""; ORS = "\n\n"; FS = "\n" } $1 != name' "$installed" > "$installed.new"
  mv "$installed.new" "$installed"
}

add() {
  check_names $names
  if [ -n "$group" ]; then
    mkdir -p "$virtual"
    echo "$names" > "$virtual/$group"
    names=$group
  fi
  order=
  for name in $names; do
    visit "$name"
    grep -qxF "$name" "$world" || echo "$name" >> "$world"
  done
  install $order
  summary
}

# Takes the names out of the world, then removes whatever nothing in the world needs any more.
del() {
  for name in $names; do
    grep -vxF "$name" "$world" > "$world.new"
    mv "$world.new" "$world"
  done
  order=
  while read -r name; do visit "$name"; done < "$world"
  for name in $(sed -n 's/^P://p' "$installed"); do
    case " $order " in *" $name "*) ;; *) unneeded="$name $unneeded" ;; esac
  done
  for name in $unneeded; do remove "$name"; done
  summary
}

command= names= group= quiet= exists= unneeded=
while [ $# -gt 0 ]; do
  case $1 in
    -q | --quiet) quiet=1 ;;
    -t | --virtual) group=$2 && shift ;;
    --virtual=*) group=${1#*=} ;;
    -e | --installed) exists=1 ;;
    -X | --repository) shift ;;
    --no-cache | --update-cache | --update | -U | --no-progress | --no-interactive | --latest | -l | --purge | -v | --repository=*) ;;
    --version | -V) command=version ;;
    -*) fail "$1: this stand-in for apk does not know the option" ;;
    *) if [ -z "$command" ]; then command=$1; else names="${names:+$names }$1"; fi ;;
  esac
  shift
done

case $command in
  add) add ;;
  del) del ;;
  update) say "OK: $(grep -c . "$repository/INDEX") distinct packages available" ;;
  upgrade) summary ;;
  info)
    if [ -z "$exists" ]; then sed -n 's/^P://p' "$installed"; exit; fi
    for name in $names; do is_installed "$name" && echo "$name" || exit 1; done
    ;;
  version) echo "apk-tools 2.14.6, a stand-in that installs from $repository" ;;
  "") fail "no command: this stand-in for apk knows add, del, info, update, upgrade" ;;
  *) fail "'$command' is not an apk command" ;;
esac
