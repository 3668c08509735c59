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
