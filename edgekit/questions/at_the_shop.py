"""Situations of buying, selling and lending."""

from __future__ import annotations

from edgekit.questions.situation import Situation

GROCERIES = Situation(
    "groceries", ("dollar/dollars",), (60, 240),
    start=(("a", "{s} went shopping with ${a}"),
           ("a + b", "{s} went shopping with ${a} in cash and a voucher for ${b}")),
    moves=(("x - a * b", "{s} bought {a} bags of rice for ${b} each"),
           ("x - a", "{s} paid ${a} for cheese and bread"),
           ("x + a", "{s} got ${a} back for empty bottles"),
           ("x - a * b", "{s} bought {a} bottles of olive oil at ${b} a bottle"),
           ("x + a * b", "{s} returned {a} jars and got ${b} back for each"),
           ("x - a", "{s} gave ${a} to a street musician"),
           ("x - x / a", "{s} spent {part} of the money that was left on meat")),
    asks=(("x", "How many dollars did {name} have left?"),
          ("x - a", "At the end {name} paid ${a} for a taxi home. How many dollars were left?"),
          ("x / a", "{name} divided what was left equally among {a} children. How many dollars did each child get?"),
          ("a - x", "At the last counter there was a coat for ${a}. How many more dollars did {name} need for it?")),
    besides=(("the shop had been open for {n} years", 3, 40), ("{n} people stood in line at the counter", 3, 9)))

BAKERY = Situation(
    "bakery", ("loaf/loaves", "roll/rolls", "pretzel/pretzels", "bagel/bagels"), (40, 160),
    start=(("a", "{s} runs a bakery and begins the day with {a} {things}"),
           ("a * b", "{s} runs a bakery and bakes {a} trays with {b} {things} on each tray"),
           ("a + b", "{s} runs a bakery and has {a} fresh {things} and {b} from the day before")),
    moves=(("x - a", "{s} sells {a} {things} to people on their way to work"),
           ("x - a * b", "{a} customers buy {b} {things} each"),
           ("x + a * b", "{s} bakes {a} more trays with {b} {things} on each"),
           ("x - x / a", "a hotel takes {part} of the {things}"),
           ("x + a", "a helper brings {a} {things} from another shop"),
           ("x - a", "{s} gives {a} {things} to a soup kitchen")),
    asks=(("x", "How many {things} are in the bakery now?"),
          ("x * a", "{name} sells all that are left for ${a} each. How many dollars does {name} get for these?", {"a": (2, 5)}),
          ("x / a", "{name} puts all that are left into {a} baskets, the same number in each. "
                   "How many {things} are in each basket?"),
          ("a - x", "A school has ordered {a} {things}. How many {things} does {name} still have to bake?")),
    besides=(("the bakery opens at {n} o'clock", 5, 7), ("the oven weighs {n} pounds", 300, 900)))

STALL = Situation(
    "stall", ("melon/melons", "pumpkin/pumpkins", "pineapple/pineapples", "cauliflower/cauliflowers"), (30, 120),
    start=(("a", "{s} drove to the market with {a} {things}"),
           ("a * b", "{s} drove to the market with {a} crates of {things}, {b} in each crate"),
           ("a + b", "{s} drove to the market with {a} large {things} and {b} small ones")),
    moves=(("x - a", "{s} sold {a} {things} to tourists"),
           ("x - a * b", "{a} restaurants bought {b} {things} each"),
           ("x + a", "a farmer gave {o} {a} more {things} to sell"),
           ("x - x / a", "a cook bought {part} of the {things}"),
           ("x - a", "{a} {things} were bruised and went to the pigs"),
           ("x + a * b", "{friend} arrived with {a} bags of {b} {things}")),
    asks=(("x", "How many {things} were on the stall then?"),
          ("x * a", "{name} sold all that were left for ${a} each. How many dollars did {name} get for these?", {"a": (2, 6)}),
          ("x / a", "{name} loaded all that were left into {a} crates, the same number in each. "
                   "How many {things} were in each crate?"),
          ("x - a", "In the last hour {name} sold {a} {things}. How many {things} did {name} take home?")),
    besides=(("the market took place {n} times a year", 4, 30), ("{p} van was {n} years old", 3, 18)))

THEATER = Situation(
    "theater", ("seat/seats",), (60, 300),
    start=(("a * b", "{s} manages a theater with {a} rows of {b} seats, all of them still free", {"a": (6, 15), "b": (8, 20)}),
           ("a", "{s} manages a theater with {a} seats, all of them still free"),
           ("a + b", "{s} manages a theater with {a} seats downstairs and {b} upstairs, all of them still free")),
    moves=(("x - a", "{s} sells {a} of the free seats online"),
           ("x - a * b", "{a} school classes reserve {b} free seats each", {"b": (5, 25)}),
           ("x + a", "{a} people cancel, so that their seats are free again"),
           ("x - x / a", "a company books {part} of the free seats"),
           ("x - a", "{s} gives {a} free seats to the press"),
           ("x + a * b", "{a} groups of {b} people cancel, so that their seats are free again")),
    asks=(("x", "How many seats are free now?"),
          ("x * a", "All of the free seats are then sold for ${a} each. How many dollars is that?", {"a": (3, 12)}),
          ("x / a", "The free seats are shared equally among {a} clubs. How many seats does each club get?"),
          ("a - x", "A club wants to come with {a} people. How many seats are missing for them?")),
    besides=(("the play lasts {n} minutes", 90, 150), ("there are {n} actors on the stage", 4, 14)), most=500)

LIBRARY = Situation(
    "library", ("book/books",), (50, 250),
    start=(("a", "{s} looked after a library shelf with {a} books"),
           ("a * b", "{s} looked after {a} library shelves with {b} books on each", {"b": (10, 30)}),
           ("a + b", "{s} looked after a library shelf with {a} novels and {b} books about travel")),
    moves=(("x - a", "readers borrowed {a} books"),
           ("x + a", "readers brought back {a} books"),
           ("x + a * b", "a publisher sent {a} boxes of {b} books"),
           ("x - a * b", "{a} schools borrowed {b} books each"),
           ("x - x / a", "{s} moved {part} of the books to the cellar"),
           ("x - a", "{s} took out {a} books that were damaged")),
    asks=(("x", "How many books were there after that?"),
          ("x / a", "{name} then spread all of the books over {a} shelves, the same number on each. "
                   "How many books were on each shelf?"),
          ("a - x", "There was room for {a} books in all. How many more books would have fitted?"),
          ("x * a", "{name} needed {a} minutes to check each book that was there. How many minutes did that take?")),
    besides=(("the library was {n} years old", 20, 150), ("the reading room had {n} windows", 4, 16)), most=500)

FLOWERS = Situation(
    "flowers", ("rose/roses", "lily/lilies", "carnation/carnations", "sunflower/sunflowers"), (40, 160),
    start=(("a", "{s} opened the flower shop with {a} {things}"),
           ("a * b", "{s} opened the flower shop with {a} buckets of {things}, {b} in each bucket"),
           ("a + b", "{s} opened the flower shop with {a} white {things} and {b} yellow ones")),
    moves=(("x - a * b", "{s} sold {a} bouquets with {b} {things} in each"),
           ("x - a", "{a} {things} wilted in the sun and were thrown away"),
           ("x + a", "a gardener delivered {a} {things}"),
           ("x + a * b", "{friend} brought {a} boxes of {b} {things} from the market"),
           ("x - x / a", "a wedding party bought {part} of the {things}"),
           ("x - a", "{s} gave {a} {things} to the hospital")),
    asks=(("x", "How many {things} did {name} have in the evening?"),
          ("x * a", "{name} sold all that were left for ${a} each. How many dollars did {name} get for these?", {"a": (2, 6)}),
          ("x / a", "{name} put all that were left into {a} vases, the same number in each. "
                   "How many {things} were in each vase?"),
          ("a - x", "For the next day a hotel ordered {a} {things}. How many {things} were missing?")),
    besides=(("the shop was {n} steps from the station", 40, 200), ("the shop closed at {n} o'clock", 5, 8)))

BUTTONS = Situation(
    "buttons", ("button/buttons", "bead/beads", "pearl/pearls"), (30, 150),
    start=(("a", "{s} has a jar with {a} {things}"),
           ("a * b", "{s} pours {a} bags of {b} {things} into a jar"),
           ("a + b", "{s} has a jar with {a} black {things} and {b} white ones")),
    moves=(("x - a * b", "{s} sews {a} {things} onto each of {b} shirts"),
           ("x + a", "{s} buys {a} more {things}"),
           ("x - a", "{s} drops {a} {things} down the drain", {"a": (2, 12)}),
           ("x + a * b", "{p} grandmother hands {o} {a} tins with {b} {things} in each"),
           ("x - x / a", "{s} gives {part} of the {things} to {friend}"),
           ("x * a", "{s} adds a whole box, which makes {times} as many {things} as before")),
    asks=(("x", "How many {things} does {name} have now?"),
          ("x / a", "{name} puts all of the {things} from the jar on {a} strings, the same number on each. "
                   "How many {things} are on each string?"),
          ("a - x", "A dress needs {a} {things}. How many {things} does {name} still have to find?"),
          ("x - a", "{name} needs {a} {things} for a coat. How many {things} are then left?")),
    besides=(("the jar is {n} inches tall", 6, 14), ("the sewing machine cost ${n}", 80, 300)))

CANDY = Situation(
    "candy", ("caramel/caramels", "walnut/walnuts", "chocolate/chocolates", "gumdrop/gumdrops"), (24, 120),
    start=(("a", "{s} has {a} {things} to share"),
           ("a * b", "{s} has {a} bags with {b} {things} in each"),
           ("a + b", "{s} has {a} {things} in one bag and {b} in another")),
    moves=(("x / a", "{s} splits the {things} into {a} equal piles and keeps just one pile"),
           ("x - a", "{s} eats {a} {things}", {"a": (2, 15)}),
           ("x + a", "{friend} gives {o} {a} {things}"),
           ("x - a * b", "{s} gives {a} {things} to each of {b} friends"),
           ("x + a * b", "{s} buys {a} boxes of {b} {things}"),
           ("x - x / a", "{s} gives {part} of the {things} to {friend}"),
           ("x * a", "{p} uncle adds so many that {s} has {times} as many {things} as before")),
    asks=(("x", "How many {things} does {name} have in the end?"),
          ("x / a", "{name} shares all that are left equally among {a} cousins. How many {things} does each cousin get?"),
          ("x * a", "Each {thing} that {name} still has weighs {a} grams. How many grams do they weigh together?"),
          ("a - x", "{name} wants to bring {a} {things} to school. How many {things} are missing?")),
    besides=(("{name} is {n} years old", 7, 14), ("the shop is {n} minutes from school", 3, 15)))

SITUATIONS = (GROCERIES, BAKERY, STALL, THEATER, LIBRARY, FLOWERS, BUTTONS, CANDY)
