"""What an import, an undo or a difference would do, decided before anything is touched.

`importing` asks the others in the order of DESIGN.md section 6: `document` applies variables, scope and rules; `nodes`,
`matching`, `placement`, `desired`, `trust` and `contents` each take one decision; `values` is what comes out; `change`
makes it one atomic change with its undo. Pure, as docs/adr/0006 says.
"""
