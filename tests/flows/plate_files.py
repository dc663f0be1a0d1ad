"""A plate and its history, as a user would write them."""

PLATE = """\
spec_version: 1
campaign: oer-plate
seed: 7
space:
  type: composition_grid
  elements: [Ni, Fe, Co, Mn, Ce, La]
  divisions: 10
  max_elements: 4
objectives:
  - {name: overpotential, goal: minimize, unit: mV}
batch: {size: 8}
"""
HISTORY = """\
sample_id,Ni,Fe,Co,Mn,Ce,La,overpotential (mV)
a,0.5,0.5,0,0,0,0,352
b,0,0.3,0.7,0,0,0,371
c,0.2,0.2,0.2,0.4,0,0,402
d,0,0,0,0,0.5,0.5,455
e,0.8,0.2,0,0,0,0,341
f,0,0.5,0,0,0.5,0,389
"""
