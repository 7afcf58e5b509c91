"""Situations at home: kitchen, garden, collections, money of one's own."""

from __future__ import annotations

from edgekit.questions.situation import Situation

ORCHARD = Situation(
    "orchard", ("apple/apples", "pear/pears", "plum/plums", "peach/peaches"), (12, 90),
    start=(("a", "{s} picks {a} {things} from the trees behind the house"),
           ("a * b", "{s} picks {a} {things} from each of {b} trees"),
           ("a + b", "{s} picks {a} {things} in the morning and {b} in the afternoon")),
    moves=(("x + a", "{s} finds {a} more {things} in the grass"),
           ("x - a", "{s} throws away {a} {things} that are rotten"),
           ("x - a * b", "{s} gives {a} {things} to each of {b} neighbors"),
           ("x + a * b", "{p} cousin brings {a} baskets with {b} {things} in each"),
           ("x - x / a", "{s} sells {part} of the {things} at the gate"),
           ("x - a", "two goats eat {a} of the {things}", {"a": (2, 12)}),
           ("x * a", "a second harvest leaves {o} with {times} as many {things} as before")),
    asks=(("x", "How many {things} does {name} have now?"),
          ("x", "How many {things} are there in the end?"),
          ("x / a", "{name} packs all that are left into {a} boxes, the same number in each. "
                   "How many {things} are in each box?"),
          ("x * a", "{name} sells all that are left for ${a} each. How many dollars does {name} get for these?", {"a": (2, 5)}),
          ("a - x", "{name} needs {a} {things} for the market. How many {things} are missing?")),
    besides=(("the oldest tree is {n} years old", 20, 80), ("the market is {n} miles away", 3, 20)))

BAKING = Situation(
    "baking", ("cookie/cookies", "muffin/muffins", "scone/scones", "cupcake/cupcakes"), (24, 96),
    start=(("a", "{s} baked {a} {things} for the school fair"),
           ("a * b", "{s} baked {a} trays of {things} with {b} on each tray"),
           ("a + b", "{s} baked {a} {things} on Friday and {b} on Saturday")),
    moves=(("x - a", "{p} family ate {a} of the {things} at breakfast"),
           ("x + a", "{s} baked another {a} {things} after lunch"),
           ("x - a * b", "{s} gave away {a} bags with {b} {things} in each"),
           ("x + a * b", "a neighbor brought {a} plates with {b} {things} on each plate"),
           ("x - x / a", "{s} sent {part} of the {things} to the school kitchen"),
           ("x - a", "the dog stole {a} {things}", {"a": (2, 9)}),
           ("x * a", "{s} used the recipe again and then had {times} as many {things} as before")),
    asks=(("x", "How many {things} did {name} have in the end?"),
          ("x / a", "{name} shared all that were left equally among {a} plates. "
                   "How many {things} were on each plate?"),
          ("x * a", "{name} sold all that were left for ${a} each. How many dollars did {name} get for these?", {"a": (2, 4)}),
          ("x - a", "At last {name} put {a} {things} into the freezer. How many {things} were left outside?")),
    besides=(("each tray had to stay in the oven for {n} minutes", 12, 25), ("the oven was {n} years old", 3, 15)))

PARTY = Situation(
    "party", ("balloon/balloons", "paper hat/paper hats", "paper cup/paper cups", "straw/straws"), (15, 80),
    start=(("a", "{s} has {a} {things} ready for a party"),
           ("a * b", "{s} buys {a} packs of {things} for a party, with {b} in each pack"),
           ("a + b", "{s} has {a} red {things} and {b} blue ones for a party")),
    moves=(("x + a", "{friend} brings {a} more {things}"),
           ("x - a", "{s} sees that {a} {things} are damaged and throws them away"),
           ("x - a * b", "{s} hands {a} {things} to each of {b} children"),
           ("x + a * b", "{p} mother buys {a} more packs of {b} {things}"),
           ("x - x / a", "{s} lends {part} of the {things} to a neighbor"),
           ("x - a", "{friend} takes {a} {things} home by mistake", {"a": (2, 15)}),
           ("x * a", "a late delivery leaves {o} with {times} as many {things} as before")),
    asks=(("x", "How many {things} does {name} have now?"),
          ("x / a", "{name} divides all of the {things} equally between {a} rooms. How many {things} are there for each room?"),
          ("a - x", "{name} wants to have {a} {things} in all. How many {things} are still missing?"),
          ("x - a", "At the end of the party {a} {things} are used up. How many {things} are left over?")),
    besides=(("the party lasts {n} hours", 2, 6), ("{n} guests bring flowers", 3, 9)))

GARDEN = Situation(
    "garden", ("tulip/tulips", "rose bush/rose bushes", "lettuce/lettuces", "cabbage/cabbages"), (20, 90),
    start=(("a", "{s} planted {a} {things} in spring"),
           ("a * b", "{s} planted {a} rows of {things} with {b} in each row"),
           ("a + b", "{s} planted {a} {things} in April and {b} in May")),
    moves=(("x - a", "snails ate {a} of the {things}"),
           ("x + a", "{s} planted {a} more {things} by the fence"),
           ("x + a * b", "{s} added {a} new rows of {b} {things}"),
           ("x - a * b", "{s} dug out {a} {things} for each of {b} neighbors"),
           ("x - x / a", "frost killed {part} of the {things}"),
           ("x - a", "a storm flattened {a} of the {things}, which had to go")),
    asks=(("x", "How many {things} were in the garden after all that?"),
          ("x * a", "Each of the {things} that were there in the end needed {a} liters of water a week. "
                    "How many liters a week did they need together?"),
          ("x / a", "In autumn {name} moved all of the {things} into {a} beds of the same size. "
                    "How many {things} were in each bed?"),
          ("a - x", "There was room for {a} {things}. How many more could {name} have planted?")),
    besides=(("the garden was {n} meters long", 12, 60), ("the watering can held {n} liters", 5, 12)))

COLLECTION = Situation(
    "collection", ("stamp/stamps", "coin/coins", "marble/marbles", "sticker/stickers", "postcard/postcards"), (15, 120),
    start=(("a", "{s} has {a} {things} in a collection"),
           ("a + b", "{s} has {a} old {things} and {b} new ones"),
           ("a * b", "{s} has {a} boxes of {things}, with {b} in each box")),
    moves=(("x + a", "{p} grandfather gives {o} {a} more {things}"),
           ("x - a", "{s} loses {a} {things} on the way to school", {"a": (2, 15)}),
           ("x + a * b", "{s} buys {a} packets with {b} {things} in each"),
           ("x - a * b", "{s} gives {a} {things} to each of {b} classmates"),
           ("x * a", "after a swap with a collector {s} has {times} as many {things} as before"),
           ("x - x / a", "{s} sells {part} of the {things}"),
           ("x + a", "{s} wins {a} {things} in a game against {friend}")),
    asks=(("x", "How many {things} does {name} have now?"),
          ("a - x", "{name} would like to own {a} {things}. How many more does {name} need?"),
          ("x / a", "{name} spreads all of the {things} evenly over {a} boxes. How many {things} go into each box?"),
          ("x - a", "{name} keeps {a} {things} at home and takes the rest to school. How many {things} does {name} take?")),
    besides=(("the most valuable one is worth ${n}", 15, 90), ("{friend} has been collecting for {n} years", 2, 12)))

READING = Situation(
    "reading", ("page/pages",), (150, 400),
    start=(("a", "{s} had a book of {a} pages to read for school"),
           ("a + b", "{s} had two books to read for school, one of {a} pages and one of {b}")),
    moves=(("x - a", "{s} read {a} pages on the bus"),
           ("x - a * b", "{s} read {a} pages every evening for {b} days", {"a": (4, 20)}),
           ("x + a", "the teacher added a story of {a} pages"),
           ("x - x / a", "during a free weekend {s} read {part} of the pages that were left"),
           ("x - a", "the teacher allowed {o} to skip {a} pages"),
           ("x + a * b", "the teacher also asked for {a} articles of {b} pages each")),
    asks=(("x", "How many pages did {name} still have to read?"),
          ("x / a", "{name} read the rest in {a} days, the same number of pages each day. "
                    "How many pages did {name} read on each of these days?"),
          ("x * a", "{name} needed {a} minutes for each of the pages that were left. How many minutes did that take?"),
          ("x - a", "On the last evening {name} read {a} pages. How many pages were then left?")),
    besides=(("the library was {n} years old", 10, 160), ("{friend} liked page {n} best", 12, 90)), most=600)

SAVING = Situation(
    "saving", ("dollar/dollars",), (30, 150),
    start=(("a", "{s} has saved ${a}"),
           ("a * b", "{s} saves ${a} a week for {b} weeks"),
           ("a + b", "{s} has ${a} in a jar and ${b} in a wallet")),
    moves=(("x + a", "{p} aunt gives {o} ${a}"),
           ("x - a", "{s} spends ${a} on a game"),
           ("x - a * b", "{s} buys {a} cinema tickets for ${b} each"),
           ("x + a * b", "{s} mows {a} lawns and gets ${b} for each"),
           ("x - x / a", "{s} lends {part} of the money to {friend}"),
           ("x * a", "{p} parents add so much that {s} has {times} as much money as before"),
           ("x - a", "{s} pays ${a} for a birthday present")),
    asks=(("x", "How many dollars does {name} have now?"),
          ("a - x", "A bicycle costs ${a}. How many more dollars does {name} need to buy it?"),
          ("x / a", "{name} splits all of the money equally between {a} envelopes. How many dollars are in each envelope?"),
          ("x - a", "{name} then buys a jacket for ${a}. How many dollars are left?")),
    besides=(("the bank closes at {n} o'clock", 3, 6), ("{p} sister is {n} years old", 4, 12)))

HENS = Situation(
    "hens", ("egg/eggs",), (20, 90),
    start=(("a", "{s} had {a} eggs in the pantry"),
           ("a * b", "{s} collected {a} eggs a day for {b} days"),
           ("a + b", "{s} had {a} brown eggs and {b} white ones")),
    moves=(("x - a", "{s} used {a} eggs for cakes"),
           ("x - a * b", "{s} sold {a} boxes of {b} eggs", {"b": (6, 12)}),
           ("x + a", "the hens laid {a} more eggs"),
           ("x + a * b", "{a} neighbors brought {b} eggs each"),
           ("x - a", "{a} eggs fell on the kitchen floor and broke", {"a": (2, 12)}),
           ("x - x / a", "{s} gave {part} of the eggs to a hospital")),
    asks=(("x", "How many eggs did {name} have then?"),
          ("x * a", "{name} sold all that were left for {a} cents each. "
                   "How many cents did {name} get for these?", {"a": (8, 40)}),
          ("a - x", "A baker ordered {a} eggs from {name}. How many eggs were missing?"),
          ("x / a", "{name} packed all that were left into {a} cartons, the same number in each. "
                   "How many eggs were in each carton?")),
    besides=(("the hen house stood {n} meters from the road", 15, 90), ("the youngest hen was {n} months old", 3, 11)))

TERRACE = Situation(
    "terrace", ("tile/tiles", "brick/bricks", "stone/stones", "board/boards"), (40, 160),
    start=(("a", "{s} has {a} {things} for a new terrace"),
           ("a * b", "{s} buys {a} boxes of {things} for a terrace, with {b} in each box"),
           ("a + b", "{s} has {a} gray {things} and {b} brown ones for a terrace")),
    moves=(("x - a * b", "{s} lays {a} rows of {b} {things}"),
           ("x - a", "{s} drops {a} {things}, which break", {"a": (2, 12)}),
           ("x + a", "{s} finds {a} more {things} in the shed"),
           ("x + a * b", "{friend} brings {a} stacks of {b} {things}"),
           ("x - x / a", "{s} uses up {part} of the {things} for a path"),
           ("x - a", "{s} takes {a} {things} back to the shop")),
    asks=(("x", "How many {things} does {name} have then?"),
          ("x / a", "{name} lays all that are left in {a} rows of the same length. How many {things} are in each row?"),
          ("a - x", "{name} still needs {a} {things} to finish. How many {things} does {name} have to buy?"),
          ("x * a", "Each {thing} that {name} still has weighs {a} pounds. How many pounds do they weigh together?")),
    besides=(("the shed is {n} feet long", 8, 20), ("the work begins at {n} o'clock", 6, 9)))

BARREL = Situation(
    "barrel", ("liter/liters",), (60, 200),
    start=(("a", "{s} had a barrel with {a} liters of rain water"),
           ("a * b", "{s} filled {a} buckets of {b} liters into a barrel"),
           ("a + b", "{s} had {a} liters of water in one barrel and {b} in another")),
    moves=(("x - a * b", "{s} watered {a} beds with {b} liters each"),
           ("x + a", "a shower added {a} liters"),
           ("x - a", "{a} liters leaked out during the night", {"a": (3, 30)}),
           ("x - x / a", "{s} used {part} of the water to wash the car"),
           ("x + a * b", "{s} poured in {a} cans of {b} liters each"),
           ("x * a", "after a storm there was {times} as much water as before")),
    asks=(("x", "How many liters of water were there then?"),
          ("x / a", "{name} shared all of this water equally among {a} trees. How many liters did each tree get?"),
          ("a - x", "There is room for {a} liters. How many liters were missing?"),
          ("x - a", "The horses then drank {a} liters. How many liters were left?")),
    besides=(("the barrel was {n} years old", 3, 20), ("the hose was {n} meters long", 10, 30)))

SITUATIONS = (ORCHARD, BAKING, PARTY, GARDEN, COLLECTION, READING, SAVING, HENS, TERRACE, BARREL)
