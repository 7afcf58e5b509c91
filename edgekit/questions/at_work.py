"""Situations of work: pay, orders, stocks, deliveries."""

from __future__ import annotations

from edgekit.questions.situation import Situation

PAY = Situation(
    "pay", ("dollar/dollars",), (60, 200),
    start=(("a * b", "{s} works {a} hours and earns ${b} an hour", {"b": (10, 30)}),
           ("a", "{s} earns ${a} with a day's work"),
           ("a + b", "{s} earns ${a} on Monday and ${b} on Tuesday")),
    moves=(("x + a", "the boss adds a bonus of ${a}"),
           ("x - a", "{s} pays ${a} for a broken tool"),
           ("x + a * b", "{s} works {a} more hours for ${b} an hour", {"b": (10, 30)}),
           ("x - a * b", "{s} buys {a} pairs of gloves at ${b} a pair"),
           ("x - x / a", "{s} puts {part} of the money into the bank"),
           ("x + a", "a customer gives {o} a tip of ${a}"),
           ("x - a", "{s} spends ${a} on food")),
    asks=(("x", "How many dollars does {name} have then?"),
          ("x / a", "The money has to last for {a} days, with the same amount for each day. "
                   "How many dollars are there for a day?"),
          ("a - x", "A train ticket costs ${a}. How many dollars are missing?"),
          ("x - a", "{name} pays ${a} for the rent of a bicycle. How many dollars are left?")),
    besides=(("the way to work takes {n} minutes", 10, 50), ("{n} other people work there", 3, 30)), most=600)

LETTERS = Situation(
    "letters", ("letter/letters", "email/emails", "invoice/invoices", "form/forms"), (50, 200),
    start=(("a", "{s} had {a} {things} to answer"),
           ("a * b", "{s} had {a} piles of {b} {things} to answer"),
           ("a + b", "{s} had {a} old {things} and {b} new ones to answer")),
    moves=(("x - a * b", "{s} answered {a} {things} an hour for {b} hours"),
           ("x + a", "{a} new {things} came in"),
           ("x - a", "{friend} took over {a} of the {things}"),
           ("x - x / a", "{s} found that {part} of the {things} that were left needed no answer"),
           ("x + a * b", "{a} colleagues passed on {b} {things} each"),
           ("x - a", "{s} answered {a} {things} before lunch")),
    asks=(("x", "How many {things} were still to be answered?"),
          ("x / a", "{name} spread all that were left evenly over {a} days. How many {things} were there for each day?"),
          ("x * a", "Each of the remaining {things} took {a} minutes. How many minutes did they take together?"),
          ("x - a", "In the last hour {name} answered {a} {things}. How many {things} were left for the next day?")),
    besides=(("the office was on floor {n}", 2, 30), ("{name} drank {n} cups of coffee", 2, 6)))

FACTORY = Situation(
    "factory", ("chair/chairs", "lamp/lamps", "toy car/toy cars", "clock/clocks"), (60, 240),
    start=(("a", "{s} leads a team that has made {a} {things}"),
           ("a * b", "{s} leads a team that makes {a} {things} an hour for {b} hours", {"a": (6, 25)}),
           ("a + b", "{s} leads two teams, which have made {a} and {b} {things}")),
    moves=(("x - a", "{a} {things} fail a test and are scrapped"),
           ("x - a * b", "{a} shops take {b} {things} each"),
           ("x + a", "the night shift makes {a} more {things}"),
           ("x + a * b", "{a} machines add {b} {things} each"),
           ("x - x / a", "{s} sends {part} of the {things} to another country"),
           ("x * a", "after a busy week there are {times} as many {things} as before")),
    asks=(("x", "How many {things} are in stock now?"),
          ("x / a", "All {things} in stock are loaded onto {a} trucks, the same number onto each. "
                   "How many {things} are on each truck?"),
          ("x * a", "All {things} in stock are sold for ${a} each. How many dollars is that?", {"a": (5, 20)}),
          ("a - x", "An order asks for {a} {things}. How many {things} are missing?")),
    besides=(("the factory was built {n} years ago", 5, 60), ("the hall is {n} meters long", 30, 120)), most=600)

FENCE = Situation(
    "fence", ("meter/meters",), (60, 240),
    start=(("a", "{s} had to paint a fence of {a} meters"),
           ("a + b", "{s} had to paint a fence of {a} meters and a wall of {b} meters")),
    moves=(("x - a * b", "{s} painted {a} meters an hour for {b} hours"),
           ("x - a", "{friend} came to help and painted {a} meters"),
           ("x + a", "the owner asked for another {a} meters"),
           ("x - x / a", "some students painted {part} of what was left"),
           ("x + a * b", "the owner added {a} gates of {b} meters each", {"b": (2, 4)}),
           ("x - a", "a storm blew down {a} meters that were not painted yet")),
    asks=(("x", "How many meters were still to be painted?"),
          ("x / a", "{name} painted the rest in {a} days, the same length each day. How many meters were that a day?"),
          ("x * a", "{name} got ${a} for each meter that was still to be painted. How many dollars was that?"),
          ("x - a", "On the next day {name} painted {a} meters. How many meters were left after that?")),
    besides=(("the ladder was {n} feet long", 6, 14), ("a can of paint cost ${n}", 12, 60)))

PARCELS = Situation(
    "parcels", ("parcel/parcels", "box/boxes", "package/packages"), (40, 140),
    start=(("a", "{s} loads {a} {things} into a van"),
           ("a * b", "{s} loads {a} shelves of a van with {b} {things} each"),
           ("a + b", "{s} loads {a} large {things} and {b} small ones into a van")),
    moves=(("x - a", "{s} delivers {a} {things} in the old town"),
           ("x - a * b", "{s} brings {a} {things} to each of {b} offices"),
           ("x + a", "{s} picks up {a} {things} at a shop"),
           ("x + a * b", "{a} customers hand over {b} {things} each"),
           ("x - x / a", "{s} passes {part} of the {things} on to {friend}"),
           ("x - a", "{s} takes {a} {things} with a wrong address back to the depot")),
    asks=(("x", "How many {things} are in the van now?"),
          ("x / a", "{name} delivers all that are left in {a} streets, the same number in each. "
                   "How many {things} go to each street?"),
          ("x * a", "Each of the {things} in the van takes {a} minutes to deliver. "
                   "How many minutes does {name} need for them?"),
          ("a - x", "The van has room for {a} {things}. How many more would fit?")),
    besides=(("the van has been driven for {n} years", 2, 14), ("the depot lies {n} miles outside of the town", 3, 20)))

CHAIRS = Situation(
    "chairs", ("chair/chairs", "stool/stools", "folding seat/folding seats"), (40, 160),
    start=(("a", "{s} set up {a} {things} for a concert"),
           ("a * b", "{s} set up {a} rows of {b} {things} for a concert", {"b": (6, 20)}),
           ("a + b", "{s} set up {a} {things} in the hall and {b} on the balcony for a concert")),
    moves=(("x - a", "{a} {things} were broken, and {s} took them away"),
           ("x + a * b", "{s} added {a} more rows of {b} {things}"),
           ("x - a * b", "{s} took out {a} rows of {b} {things} to make room for the band"),
           ("x + a", "a school lent {o} {a} more {things}"),
           ("x - x / a", "{s} had to bring {part} of the {things} to another hall"),
           ("x - a", "the fire department had {a} {things} near the doors removed")),
    asks=(("x", "How many {things} stood there in the end?"),
          ("x * a", "Each of those that stood there was taken, at ${a} a ticket. "
                   "How many dollars did the tickets bring in?", {"a": (4, 15)}),
          ("a - x", "{a} guests came. How many of them had to stand?"),
          ("x / a", "Afterwards {a} helpers carried all of the {things} away, each the same number. "
                   "How many {things} did each helper carry?")),
    besides=(("the concert began at {n} o'clock", 5, 9), ("the band played {n} songs", 8, 20)))

WAREHOUSE = Situation(
    "warehouse", ("barrel/barrels", "crate/crates", "carton/cartons", "sack/sacks"), (50, 200),
    start=(("a", "{s} counts {a} {things} in a warehouse"),
           ("a * b", "{s} counts {a} stacks of {b} {things} in a warehouse"),
           ("a + b", "{s} counts {a} {things} in one hall of a warehouse and {b} in another")),
    moves=(("x - a * b", "{a} trucks take away {b} {things} each"),
           ("x + a * b", "{a} vans deliver {b} {things} each"),
           ("x - a", "a customer collects {a} {things}"),
           ("x + a", "{s} discovers {a} more {things} behind a door"),
           ("x - x / a", "a ship takes {part} of the {things}"),
           ("x * a", "after a large delivery there are {times} as many {things} as before")),
    asks=(("x", "How many {things} are in the warehouse now?"),
          ("x / a", "{a} workers move all that are there, each the same number. How many {things} does each worker move?"),
          ("x * a", "Storing one {thing} costs ${a} a month. "
                   "How many dollars does it cost to store all that are there for a month?"),
          ("a - x", "There is room for {a} {things}. How many more would fit?")),
    besides=(("the warehouse has {n} doors", 3, 12), ("the guard is {n} years old", 25, 60)))

SITUATIONS = (PAY, LETTERS, FACTORY, FENCE, PARCELS, CHAIRS, WAREHOUSE)
