# What hidden set-up blocks of the documentation call: small real disks, and the cluster that the pages promise.

# leave `$?` as the command before left it
status() { return "$1"; }

# make_disk FILE SIZE TEXT: an ext4 file system that holds a few files
make_disk() {
  local tree
  tree=$(mktemp -d)
  printf '%s\n' "$3" > "$tree/hostname"
  head -c 300000 /bin/bash > "$tree/program"
  truncate -s "$2" "$1"
  mkfs.ext4 -q -F -d "$tree" "$1"
  rm -r "$tree"
}

# make_my_cluster: my-cluster with web-1 (raw), web-2 (a clone of it) and db-1 (qcow2 root, raw data)
make_my_cluster() {
  local at
  at=$(mktemp -d)
  make_disk "$at/web-1.img" 16M web-1
  cp "$at/web-1.img" "$at/web-2.img"
  printf 'changed' | dd of="$at/web-2.img" bs=1 seek=9000000 conv=notrunc status=none
  make_disk "$at/db-1.img" 16M db-1
  qemu-img convert -q -O qcow2 "$at/db-1.img" "$at/db-1.qcow2"
  make_disk "$at/data.img" 8M data
  printf 'listen = 80\n' > "$at/web.conf"
  blixard cluster init -q my-cluster
  blixard vm create -q web-1 --vcpus 2 --memory 1024 --disk "$at/web-1.img,name=root" --file "config=$at/web.conf"
  blixard vm create -q web-2 --vcpus 2 --memory 1024 --disk "$at/web-2.img,name=root" --file "config=$at/web.conf"
  blixard vm create -q db-1 --vcpus 4 --memory 4096 --disk "$at/db-1.qcow2,name=root,format=qcow2" \
    --disk "$at/data.img,name=data"
}

# on_machine NAME: what follows runs on another machine, which is another data directory
on_machine() {
  export BLIXARD_DATA_DIR="$HOME/machines/$1"
}

# on_other_screens: from here on a share runs beside the page, as on another screen, and TICKET is what it prints
on_other_screens() {
  sharers=()
  # word for word what a page shows, so that it needs no `&`
  blixard() {
    case " $* " in
      *" cluster share "* | *" --p2p-share "*) share_beside "$@" ;;
      *) command blixard "$@" ;;
    esac
  }
  trap ctrl_c EXIT
}

share_beside() {
  local screen said
  screen=$(mktemp -d)
  mkfifo "$screen/out"
  (exec blixard "$@") > "$screen/out" 2> "$screen/err" &
  sharers+=($!)
  exec {shown}< "$screen/out"
  # the ticket, or the end of a share that failed
  IFS= read -r said <&"$shown" || { cat "$screen/err"; return 1; }
  TICKET=${said##* }
}

# shares_are_over: each share has ended by itself, and well
shares_are_over() {
  local each
  for each in "${sharers[@]}"; do wait "$each"; done
  sharers=()
}

# ctrl_c: end every share that still runs
ctrl_c() {
  local each
  for each in "${sharers[@]}"; do
    kill "$each" 2> /dev/null || true
    wait "$each" || true
  done
  sharers=()
}

# install_without_network: what installs builds the package of this repository, and runs it with the libraries here
install_without_network() {
  sudo() { "$@"; }
  apt-get() { [ "$1" = install ]; }
  pipx() { [ "$1" = install ] && run_package "$2" pipx; }
  uv() { [ "$1 $2" = "tool install" ] && run_package "$3" uv; }
}

# run_package PROJECT NAME: what is in its wheel runs, away from the repository
run_package() {
  local at=$NOTES/$2
  python -m pip wheel -q --no-index --no-deps --no-build-isolation -w "$at" "$1"
  python -m zipfile -e "$at"/*.whl "$at"
  grep -qx 'blixard = blixard.cli:main' "$at"/*.dist-info/entry_points.txt
  (cd / && PYTHONPATH=$at python -m blixard --version > /dev/null)
  (cd / && PYTHONPATH=$at python -c 'import blixard; print(blixard.__file__)') | grep -q "^$at/"
}
