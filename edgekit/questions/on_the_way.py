"""Situations of travel and sport."""

from __future__ import annotations

from edgekit.questions.situation import Situation

BUS = Situation(
    "bus", ("passenger/passengers",), (20, 60),
    start=(("a", "{s} drives a bus that leaves the station with {a} passengers"),
           ("a + b", "{s} drives a bus that leaves the station with {a} adults and {b} children as passengers")),
    moves=(("x + a", "at the school {a} people get on"),
           ("x - a", "at the hospital {a} people get off"),
           ("x - x / a", "at the market {part} of the passengers get off"),
           ("x + a * b", "at the lake {a} families of {b} get on", {"b": (3, 6)}),
           ("x - a * b", "at the museum {a} groups of {b} get off", {"b": (3, 6)}),
           ("x + a", "at the stadium {a} football fans get on"),
           ("x / a", "at the port so many get off that only one passenger in {a} stays on the bus")),
    asks=(("x", "How many passengers are on the bus now?"),
          ("x * a", "Each passenger on the bus has paid ${a}. How many dollars have they paid together?", {"a": (2, 6)}),
          ("a - x", "The bus has room for {a} passengers. How many more could get on?"),
          ("x - a", "At the last but one stop {a} people get off. How many passengers are left?")),
    besides=(("the bus is {n} minutes late", 3, 15), ("the whole route is {n} miles long", 12, 40)), most=120)

WALK = Situation(
    "walk", ("mile/miles",), (90, 300),
    start=(("a", "{s} set out on a walk of {a} miles"),
           ("a + b", "{s} set out on a walk of {a} miles along a river and then {b} miles through the hills")),
    moves=(("x - a", "{s} walked {a} miles in good weather"),
           ("x - a * b", "{s} walked {a} miles a day for {b} days", {"a": (6, 20)}),
           ("x + a", "a closed bridge made the way {a} miles longer", {"a": (3, 30)}),
           ("x - a", "a farmer gave {o} a lift for {a} miles", {"a": (5, 40)}),
           ("x - x / a", "a train took {o} over {part} of the miles that were left"),
           ("x + a * b", "{a} detours each made the way {b} miles longer")),
    asks=(("x", "How many miles were still to go?"),
          ("x / a", "{name} walked the rest in {a} days, the same distance each day. "
                    "How many miles did {name} walk on each of these days?"),
          ("x * a", "{name} needed {a} minutes for each of the miles that were left. How many minutes did that take?",
           {"a": (12, 25)}),
          ("x - a", "On the next day {name} walked {a} miles. How many miles were then left?")),
    besides=(("the backpack weighed {n} pounds", 15, 40), ("{name} drank {n} liters of water a day", 2, 6)), most=500)

FUEL = Situation(
    "fuel", ("liter/liters",), (60, 200),
    start=(("a", "{s} starts a trip with {a} liters of fuel in the truck"),
           ("a + b", "{s} starts a trip with {a} liters of fuel in the tank of the truck and {b} liters in cans")),
    moves=(("x - a * b", "{s} drives for {a} hours and uses {b} liters an hour", {"b": (5, 20)}),
           ("x + a", "{s} buys {a} liters of fuel on the way"),
           ("x - a", "{s} gives {a} liters to a driver who has run out of fuel", {"a": (2, 15)}),
           ("x - x / a", "a road through the mountains takes {part} of the fuel"),
           ("x + a * b", "{s} gets {a} cans of {b} liters from a farmer"),
           ("x - a", "a long traffic jam costs {o} {a} liters", {"a": (2, 12)})),
    asks=(("x", "How many liters of fuel does {name} have now?"),
          ("x * a", "With each liter the truck goes {a} kilometers. How many kilometers can {name} still drive?"),
          ("a - x", "{name} wants to have {a} liters for the next day. How many liters does {name} have to buy?"),
          ("x / a", "The fuel that is left is enough for {a} more hours. "
                   "How many liters does the truck use in each of these hours?")),
    besides=(("the truck is {n} years old", 3, 18), ("{name} has been a driver for {n} years", 2, 30)))

HOTEL = Situation(
    "hotel", ("guest/guests",), (30, 150),
    start=(("a", "{s} runs a hotel, where {a} guests stay"),
           ("a * b", "{s} runs a hotel, where {a} groups of {b} guests stay"),
           ("a + b", "{s} runs a hotel, where {a} guests stay on the first floor and {b} on the second")),
    moves=(("x + a * b", "{a} families of {b} arrive", {"b": (3, 6)}),
           ("x - a", "{a} guests leave after breakfast"),
           ("x - x / a", "{part} of the guests leave for the coast"),
           ("x + a", "a coach brings {a} new guests"),
           ("x - a * b", "{a} groups of {b} move on to the mountains", {"b": (3, 8)}),
           ("x - a", "{a} guests are called back home"),
           ("x * a", "a conference begins, and there are {times} as many guests as before")),
    asks=(("x", "How many guests are in the hotel now?"),
          ("x * a", "Each guest eats {a} rolls for breakfast. How many rolls does {name} need?", {"a": (2, 4)}),
          ("a - x", "There are {a} beds in the hotel. How many beds are free?"),
          ("x / a", "{name} seats all of the guests at {a} tables, the same number at each. "
                   "How many guests sit at each table?")),
    besides=(("the pool is {n} meters long", 10, 30), ("a room costs ${n} a night", 60, 180)))

LUGGAGE = Situation(
    "luggage", ("suitcase/suitcases",), (30, 140),
    start=(("a", "{s} loaded {a} suitcases onto a plane"),
           ("a * b", "{s} loaded {a} carts with {b} suitcases each onto a plane"),
           ("a + b", "{s} loaded {a} large suitcases and {b} small ones onto a plane")),
    moves=(("x + a * b", "{a} late carts brought {b} more suitcases each"),
           ("x - a", "{a} suitcases turned out to belong on another plane and were taken out"),
           ("x + a", "{s} loaded {a} suitcases of the crew"),
           ("x - x / a", "{part} of the suitcases had to come out again because the plane was too heavy"),
           ("x - a * b", "{a} families of {b} missed the plane, and the one suitcase of each person was taken out",
            {"b": (2, 6)}),
           ("x + a", "{a} suitcases came over from a canceled flight")),
    asks=(("x", "How many suitcases were on the plane then?"),
          ("x * a", "Each suitcase on the plane weighed {a} kilograms. "
                   "How many kilograms did they weigh together?", {"a": (8, 20)}),
          ("a - x", "There was room for {a} suitcases. How many more would have fitted?"),
          ("x / a", "At the other end {a} workers unloaded all of the suitcases, each the same number. "
                   "How many suitcases did each worker unload?")),
    besides=(("the plane was to leave from gate {n}", 3, 40), ("the flight took {n} hours", 2, 12)))

SWIMMING = Situation(
    "swimming", ("lap/laps",), (20, 80),
    start=(("a", "{s} swam {a} laps on Monday"),
           ("a * b", "{s} swam {a} laps a day for {b} days"),
           ("a + b", "{s} swam {a} laps on Monday and {b} on Tuesday")),
    moves=(("x + a", "{s} swam another {a} laps before school"),
           ("x + a * b", "{s} swam {a} laps on each of {b} evenings", {"a": (4, 20)}),
           ("x - a", "the coach did not count {a} laps that were too slow"),
           ("x * a", "by the end of a camp {s} had {times} as many laps as before"),
           ("x - x / a", "the coach lost a list and with it {part} of the laps"),
           ("x - a * b", "{s} broke {a} rules, and the coach took off {b} laps for each")),
    asks=(("x", "How many laps did {name} have in the end?"),
          ("a - x", "A badge is given for {a} laps. How many more laps did {name} need?"),
          ("x * a", "A sponsor gave the team ${a} for each lap that counted. How many dollars was that?", {"a": (2, 5)}),
          ("x / a", "The laps that counted were swum in {a} hours, the same number in each. "
                    "How many laps did {name} swim in an hour?")),
    besides=(("the water was {n} degrees warm", 18, 28), ("{friend} swam in lane {n}", 2, 8)))

GAME = Situation(
    "game", ("point/points",), (20, 120),
    start=(("a", "{s} had {a} points after the first round of a game"),
           ("a * b", "{s} began a game with {a} hits of {b} points each"),
           ("a + b", "{s} won {a} points in the first round of a game and {b} in the second")),
    moves=(("x + a", "{s} won {a} points"),
           ("x - a", "{s} lost {a} points"),
           ("x + a * b", "{s} solved {a} puzzles for {b} points each"),
           ("x - a * b", "{s} broke {a} rules and lost {b} points for each"),
           ("x * a", "a lucky card gave {o} {times} as many points as before"),
           ("x / a", "an unlucky card left {o} with only {part} of the points"),
           ("x - x / a", "{s} had to give {part} of the points to {friend}")),
    asks=(("x", "How many points did {name} have then?"),
          ("a - x", "The winner had {a} points. How many points more than {name} was that?"),
          ("x - a", "In the last round {name} lost {a} points. With how many points did {name} end?"),
          ("x * a", "In the last round the points were counted {a} times. "
                   "How many points did {name} end with?", {"a": (2, 5)})),
    besides=(("the game lasted {n} minutes", 20, 90), ("{n} people looked on", 3, 12)))

SITUATIONS = (BUS, WALK, FUEL, HOTEL, LUGGAGE, SWIMMING, GAME)
