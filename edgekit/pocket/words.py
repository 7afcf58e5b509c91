"""The words of the generated language. Order matters: where choices are weighted, earlier words are commoner."""

NAMES = (
    "Mia", "Tom", "Ada", "Ben", "Eva", "Leo", "Ida", "Max", "Zoe", "Sam", "Lea", "Kai",
    "Nora", "Paul", "Ruth", "Hugo", "Anna", "Omar", "Lucy", "Ivan", "Emma", "Theo", "Rosa", "Finn",
)  # fmt: skip
THINGS = (
    "shell", "coin", "apple", "stamp", "card", "pearl", "stone", "ticket", "button", "marble", "nut", "bead",
    "feather", "pencil", "candle", "cookie", "balloon", "ribbon", "lemon", "magnet", "walnut", "sticker", "basket",
    "flower",
)  # fmt: skip
TOWNS = (
    "Arvo", "Belm", "Corin", "Dunwick", "Elstow", "Farley", "Gorse", "Holm", "Isker", "Jorvik", "Kelso", "Lund",
    "Marow", "Nesby", "Orlin", "Pavia",
)  # fmt: skip

# Prose. A sentence always names a person of its story's topic, and no word belongs to two topics, so the words of a
# story alone say by which rules it was made.
TOPICS = {
    "sea": {
        "person": ("sailor", "captain", "fisher", "diver", "pilot", "rower", "whaler", "keeper"),
        "verb": ("hauls", "mends", "paints", "anchors", "steers", "scrubs", "lowers", "patches", "signals", "tows"),
        "object": (
            "net", "boat", "sail", "rope", "oar", "mast", "lantern", "buoy", "compass", "hull", "barrel", "hook",
        ),
        "place": ("harbour", "reef", "island", "pier", "lagoon", "lighthouse", "beach", "cove"),
    },
    "farm": {
        "person": ("farmer", "shepherd", "miller", "gardener", "milkmaid", "ploughman", "beekeeper", "reaper"),
        "verb": ("feeds", "plants", "waters", "gathers", "shears", "fences", "weighs", "harvests", "brushes", "herds"),
        "object": (
            "goat", "cow", "plough", "hive", "fence", "turnip", "hay", "sheep", "bucket", "seedling", "pony", "scythe",
        ),
        "place": ("barn", "meadow", "orchard", "stable", "pasture", "mill", "field", "well"),
    },
    "town": {
        "person": ("baker", "tailor", "clerk", "doctor", "teacher", "porter", "smith", "mayor"),
        "verb": ("sells", "orders", "copies", "delivers", "repairs", "wraps", "counts", "borrows", "hides", "polishes"),
        "object": (
            "loaf", "letter", "coat", "ledger", "clock", "parcel", "kettle", "mirror", "key", "cake", "statue", "bench",
        ),
        "place": ("market", "square", "library", "station", "tavern", "school", "bridge", "theatre"),
    },
    "forest": {
        "person": ("hunter", "ranger", "hermit", "trapper", "woodcutter", "scout", "wanderer", "outlaw"),
        "verb": ("tracks", "carves", "follows", "carries", "buries", "sketches", "climbs", "watches", "burns", "splits"),
        "object": (
            "deer", "log", "fox", "trail", "arrow", "mushroom", "owl", "tent", "pine", "badger", "torch", "nest",
        ),
        "place": ("clearing", "cave", "ridge", "brook", "thicket", "valley", "hollow", "marsh"),
    },
}  # fmt: skip
ADJECTIVES = (
    "old", "young", "tall", "quiet", "clever", "tired", "brave", "small", "grey", "proud", "honest", "lonely",
    "stubborn", "cheerful", "careless", "gentle",
)  # fmt: skip
QUALITIES = (
    "new", "broken", "heavy", "wooden", "golden", "dusty", "narrow", "hidden", "famous", "crooked", "bright", "muddy",
    "ancient", "painted", "silent", "frozen",
)  # fmt: skip
ADVERBS = ("slowly", "often", "carefully", "quickly", "rarely", "gladly", "secretly", "always")
TIMES = ("today", "at dawn", "in winter", "after lunch", "every week", "by night", "before noon", "on Sunday")
PLACES_BEFORE = ("near", "behind", "inside", "beyond")
