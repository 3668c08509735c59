"""What an import, an undo or a difference would do, decided before anything is touched. Pure, as docs/adr/0006 says.

`importing.plan_import` asks for one decision after the other, each in a file of its own (DESIGN.md section 6):

1. `document`: the document as the target will see it. In this order: secrets that were kept apart go back in, variables
   are set (`templates`), the scope is cut out (`scope`), VMs, nodes and networks get the target's names (`rules`), and
   values are set by JSON pointer (`edits`).
2. `contents.check_images`: no two disks name the same image.
3. `nodes`: which records of nodes the cluster will have. The machine stays itself.
4. `matching`: which VM here is which VM of the document, which are deleted, and what each will be called.
5. `desired`: the fields that each VM will have (`merge`), ids and MACs of copies (`identity`), where it is placed
   (`placement`), whether it may start, and which of its fields are inert (`trust`).
6. `contents.plan_contents`: which content is staged, kept, dropped or absent.
7. `nodes.without_unused`: records of nodes that a replace takes away, now that it is known which ones VMs stand on.
8. `collisions`: addresses and ids that would be in use twice.

`values` is what comes out, and `change` makes it one atomic change with its undo. Before all of it, `target` chooses
the cluster. Beside it, `options` is what was asked for, `saved` keeps a plan for later, `skeleton` begins a rules file
from one, and `fields` compares objects. `undo`, `vm_change` and `diff` are the other plans; `retention` says how long
undo is kept.
"""
