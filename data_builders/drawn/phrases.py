"""The phrases that the atelier's people write with, by manner and by what they have to say.

A phrase may hold these fields. The piece: {noun}, {a_noun}, {it}, {them}, {this}, {is_}, {suits}, {kinds}. The point it
makes: {np}, with {np_is} and {np_s} agreeing ("the stripes are", "the bow makes"). No phrase may contain a word of the
drawn vocabulary of its own accord (no "five stars", no "it leaves"): what a review says about looks must be true.
"""

Phrases = tuple[str, ...]

# How a value is named in a sentence: (words, plural). {v} stands for the value.
POINTS: dict[str, tuple[tuple[str, bool], ...]] = {
    "colour": (("the {v}", False), ("that {v}", False), ("the shade of {v}", False), ("the {v} colour", False)),
    "material": (("the {v}", False), ("the feel of the {v}", False), ("the {v} {it} {is_} made of", False)),
    "silhouette": (("the {v} shape", False), ("the {v} {cut}", False)),
    "brand": (("the way {v} makes things", False), ("{v}'s workmanship", False), ("the name {v} on the label", False)),
}
PATTERN_POINTS: dict[str, tuple[tuple[str, bool], ...]] = {
    "plain": (("the plain surface", False), ("the plain look", False), ("the plain finish", False)),
    "stripes": (("the stripes", True), ("those stripes", True), ("the pattern of stripes", False)),
    "dots": (("the dots", True), ("those dots", True), ("the scatter of dots", False)),
    "check": (("the check", False), ("that check", False), ("the check pattern", False)),
    "floral": (("the floral pattern", False), ("that floral print", False), ("the floral motif", False)),
    "zigzag": (("the zigzag", False), ("that zigzag", False), ("the zigzag pattern", False)),
    "leaves": (("the leaves", True), ("the pattern of leaves", False), ("those leaves", True)),
    "stars": (("the stars", True), ("the little stars", True), ("the pattern of stars", False)),
}
TRIM_POINTS: dict[str, tuple[tuple[str, bool], ...]] = {
    "piping": (("the piping", False), ("the line of piping", False)),
    "buttons": (("the buttons", True), ("those buttons", True)),
    "tassels": (("the tassels", True), ("those tassels", True)),
    "bow": (("the bow", False), ("the little bow", False)),
    "stitching": (("the stitching", False), ("that stitching", False)),
}
OCCASION_POINTS: dict[str, tuple[tuple[str, bool], ...]] = {
    "everyday": (("how well {it} {suits} ordinary days", False), ("the everyday ease", False)),
    "work": (("how well {it} {suits} working days", False), ("the businesslike air", False)),
    "travel": (("how easily {it} {suits} travelling", False), ("how well {it} {suits} a journey", False)),
    "celebration": (("how well {it} {suits} a celebration", False), ("the festive air", False)),
    "weekend": (("how well {it} {suits} a weekend", False), ("the weekend mood", False)),
    "evening": (("how well {it} {suits} an evening", False), ("the evening mood", False)),
}
PRICE_POINTS: dict[str, tuple[tuple[str, bool], ...]] = {
    "low": (("the small price", False), ("what little {it} cost", False)),
    "middle": (("the sensible price", False), ("the fair price", False)),
    "high": (("the luxury of {them}", False), ("the touch of luxury", False)),
}

# A liking for the kind itself is a sentence of its own.
FOND_OF_KIND: Phrases = (
    "I can never have too many {kinds}.", "{Kinds} are my weakness.", "I was looking for {a_noun} anyway.",
    "I never pass by {kinds}.", "There is always room for {a_noun} here.", "Of all things I buy {kinds} most gladly.",
)  # fmt: skip
NOT_FOND_OF_KIND: Phrases = (
    "{Kinds} are not really my thing.", "I have no use for {a_noun}, as it turns out.", "I should not buy {kinds}.",
    "Why I bought {a_noun} I cannot say.", "I am not one for {kinds}.",
)  # fmt: skip
LATELY: Phrases = (
    "Lately I have been drawn to {what}.", "My taste has moved on to {what}.", "It has to be {what} these days.",
    "A year ago I would not have looked at {what}.", "I have discovered {what} for myself.",
)  # fmt: skip

OPENERS: dict[str, Phrases] = {
    "terse": ("Good.", "Yes.", "As hoped.", "No complaints.", "Fine {noun}."),
    "warm": (
        "What {lovely_noun}!", "I am so happy with {this} {noun}!", "Oh, I love {them}.",
        "Thank you for {this} {noun}!",
        "It made my week when {it} arrived.", "Such a joy to unpack.",
    ),
    "pedantic": (
        "A few remarks on the {noun}.", "I have now had the {noun} for a fortnight.",
        "Delivery as announced, packaging sound.",
        "I compared a good many {kinds} before deciding.", "First things first: the {noun} arrived undamaged.",
    ),
    "ironic": (
        "My bank advised against it.", "I had sworn to buy nothing this month.",
        "Nobody needs another {single}. I know.",
        "Another parcel, said my flatmate, and sighed.", "So much for self-control.", "I only wanted to look.",
    ),
    "storyteller": (
        "It was raining, and I was browsing.", "My neighbour pointed me to this shop.",
        "I had been eyeing {them} for weeks.",
        "The parcel came while I was on the phone to my mother.", "On the train home I decided to order.",
        "A friend saw the {noun} before I did.",
    ),
    "matter-of-fact": (
        "The {noun} arrived on time.", "As described.", "Well made.", "Quality is as expected.",
        "Ordered on Monday, here on Thursday.",
    ),
}  # fmt: skip

PRAISE: dict[str, Phrases] = {
    "terse": ("Took {them} for {np}.", "{Np}. Sold.", "{Np}: yes.", "Mainly {np}.", "Liked {np}. Bought {them}."),
    "warm": (
        "I am quite in love with {np}!", "{Np} make{np_s} me smile every time.",
        "{Np} {np_is} just what I had hoped for.",
        "I could look at {np} all day.", "{Np} won me over at once.", "My heart jumped at {np}.",
    ),
    "pedantic": (
        "To be precise, {np} {np_is} the reason I chose {them}.", "For the record: {np} decided the matter.",
        "Of everything about the {noun}, {np} {np_is} what counts.", "I set great store by {np}, and rightly.",
        "What distinguishes {this} {noun}: {np}.",
    ),
    "ironic": (
        "Apparently {np} {np_is} all it takes to part me from my money.", "{Np} made resistance futile.",
        "I blame {np}.", "Show me {np} and I stop thinking.", "Against {np} I have no defence.",
    ),
    "storyteller": (
        "Then I saw {np} and stopped scrolling.", "A colleague asked about {np} before I had sat down.",
        "What stayed in my mind for days: {np}.", "It was {np} that I told everyone about.",
        "I remember seeing {np} and thinking: that is me.",
    ),
    "matter-of-fact": (
        "I chose {them} for {np}.", "{Np} {np_is} what I was looking for.", "The deciding point: {np}.",
        "I like {np}.", "Bought because of {np}.", "{Np} convinced me.",
    ),
}  # fmt: skip

MORE: dict[str, Phrases] = {
    "terse": ("Also {np}.", "Plus {np}.", "And {np}.", "{Np}, too."),
    "warm": (
        "And then {np}: wonderful.", "I adore {np} as well.", "{Np} {np_is} a joy, too.",
        "And have I mentioned {np}?",
    ),
    "pedantic": (
        "Secondly, {np}.", "Not to be overlooked: {np}.", "In addition, {np} deserve{np_s} mention.",
        "I further note {np}.",
    ),
    "ironic": (
        "As if that were not enough: {np}.", "{Np} did the rest.", "And {np}, naturally. Of course.",
        "Then they add {np}. Unfair.",
    ),
    "storyteller": (
        "Later, by daylight, I noticed {np}, and liked the {noun} even more.",
        "My daughter, though, only talks about {np}.",
        "And at second glance there {np_was} {np}.", "In the end {np} settled it.",
    ),
    "matter-of-fact": (
        "I also like {np}.", "{Np} {np_is} a plus.", "Another point in favour: {np}.",
        "{Np} {np_is} welcome as well.",
    ),
}  # fmt: skip

COMPLAINTS: dict[str, Phrases] = {
    "terse": ("Not for me: {np}.", "{Np}? No.", "Could do without {np}.", "Problem: {np}."),
    "warm": (
        "I so wanted to like {them}, but {np} {np_is} not me.", "Sadly {np} {np_do} not speak to me.",
        "I tried, yet I cannot warm to {np}.", "Someone else will love {np}; I do not.",
    ),
    "pedantic": (
        "I must object to {np}.", "My reservation concerns {np}.",
        "Regrettably, {np} {np_do} not meet my expectations.",
        "Points are lost for {np}.",
    ),
    "ironic": (
        "{Np}: a brave decision, mine to regret.", "I am told {np} {np_is} to some people's taste.",
        "I keep the {noun} where nobody has to see {np}.", "{Np}, well. One lives and learns.",
    ),
    "storyteller": (
        "At home I looked at {np} again and wondered what I had been thinking.",
        "My sister laughed when she saw {np}, and she was right.",
        "I gave it a week, but {np} and I will not become friends.",
        "In the lamplight of the shop's page I had not minded {np}; here I do.",
    ),
    "matter-of-fact": (
        "I do not like {np}.", "{Np} {np_is} not to my taste.", "What bothers me: {np}.",
        "I could not get used to {np}.",
    ),
}  # fmt: skip

USES: dict[str, Phrases] = {
    "Clothing": (
        "Wore {them} to the office the very next day.", "I wear {them} with everything.",
        "{It} came along to a birthday lunch.",
        "Worn twice so far, and asked about twice.", "Comfortable through a day of meetings.",
        "Will be worn until {it} {falls} apart.",
    ),
    "Shoes": (
        "Walked across half the town in {them}.", "No blisters after a long day.", "Wore {them} to a concert.",
        "Danced in {them} until two.",
        "They came along to a wedding.",
    ),
    "Accessories": (
        "I take {them} everywhere.", "{It} {has} been to Lisbon with me already.",
        "A good companion on the way to work.",
        "I had {them} with me at the market on Saturday.", "It rained on {them}; no harm done.",
    ),
    "Kitchen": (
        "In use every morning.", "{It} {makes} the first cup of the day taste better.",
        "Guests asked where I had found {them}.",
        "Survived the dishwasher.", "I use {them} on Sundays.",
    ),
    "Home": (
        "{It} {has} found a place by the window.", "The room looks different now.", "The cat approves.",
        "Guests notice {them} first.",
        "{It} now {lives} in the hallway.", "Moved {them} through three rooms before I was content.",
    ),
}  # fmt: skip

GIFTS: Phrases = (
    "Bought as a present for my {friend}.", "A birthday present for my {friend}.", "This was a gift for my {friend}.",
    "Ordered for my {friend}, who asked for {a_noun}.", "For my {friend}, who is hard to please.",
)  # fmt: skip
FRIENDS: Phrases = (
    "sister",
    "brother",
    "mother",
    "father",
    "aunt",
    "best friend",
    "neighbour",
    "niece",
    "boss",
    "grandmother",
)
GIFT_LANDED: Phrases = (
    "It went down well.", "The wrapping did not last a minute.", "Big smile.", "A success, I hear.",
    "I got a hug for it.",
)  # fmt: skip
GIFT_FAILED: Phrases = (
    "It was received politely.", "I have not seen {them} since.", "It may have been exchanged.",
    "A voucher would have been wiser.",
)  # fmt: skip
IMPULSES: Phrases = (
    "Bought on a whim.", "An impulse at midnight.", "I clicked before I thought.", "No idea what came over me.",
    "A spur-of-the-moment thing.",
)  # fmt: skip
COMPANIONS: Phrases = (
    "Bought to go with the {earlier} from the same collection.",
    "Together with the {earlier} from {collection} {it} {makes} a set.",
    "I had just ordered the {earlier}, and {this} {noun} from {collection} had to follow.",
    "The {earlier} was lonely, so I added {this} {noun}.",
    "Matches the {earlier} I took shortly before.",
)  # fmt: skip
EARLIER: Phrases = (
    "My last order here was {an_earlier}; I came back.",
    "I was pleased with the shop when I bought {an_earlier}, so I returned.",
    "After {an_earlier} the time before, now {a_noun}.", "First {an_earlier}, now {this}: I see a habit forming.",
)  # fmt: skip
EARLIER_ALIKE: Phrases = (
    "My last order here was {an_earlier}, too.", "The second time in a row that I have ordered {kinds} here.",
    "After the last {single}, now another.",
)  # fmt: skip
AGAIN: Phrases = (
    "My second one; the first is still going strong.", "Bought again, that says it all.",
    "The same once more, for the other half of the family.",
)  # fmt: skip

CLOSERS: dict[str, dict[str, Phrases]] = {
    "good": {
        "terse": ("Keeping {them}.", "Happy.", "Recommended.", "Done."),
        "warm": (
            "I would buy {them} again in a heartbeat.", "Warmly recommended!", "A little happiness in a box.",
            "Do treat yourself.",
        ),
        "pedantic": (
            "Recommended without reservation.", "In sum: a sound purchase.", "I deduct nothing.",
            "My verdict is favourable.",
        ),
        "ironic": (
            "I regret nothing, yet.", "Send help, or a catalogue.", "My savings had a good life.",
            "I am told there is a newsletter. Oh no.",
        ),
        "storyteller": (
            "And that is how I came by {them}.", "I have told the story three times already.", "The end, for now.",
            "Some purchases become friends.",
        ),
        "matter-of-fact": ("Would buy again.", "Recommended.", "Satisfied.", "Good value.", "I am keeping {them}."),
    },
    "mixed": {
        "terse": ("So-so.", "Okay.", "Undecided."),
        "warm": ("Still, I will give {them} a chance.", "Not a great love, but a friend.", "I am a little torn."),
        "pedantic": ("On balance: average.", "A middling result.", "Three points, after some thought."),
        "ironic": ("It is fine. I am fine. Everything is fine.", "I have had worse Tuesdays.", "We coexist."),
        "storyteller": ("I have not made up my mind yet.", "Ask me again in spring.", "Perhaps {it} will grow on me."),
        "matter-of-fact": ("Acceptable.", "All in all average.", "I am keeping {them} for now."),
    },
    "bad": {
        "terse": ("Returned.", "No.", "Never again."),
        "warm": (
            "I am sorry to say so.", "{It} will go to someone who cares for {them}.",
            "With a heavy heart: back {it} {goes}.",
        ),
        "pedantic": (
            "I cannot recommend the purchase.", "A return has been requested.",
            "The fault is in the choice, not the making.",
        ),
        "ironic": ("It builds character.", "At least the box is useful.", "I have learnt something about myself."),
        "storyteller": ("{It} now {lives} at my cousin's.", "We parted ways.", "It was a short story."),
        "matter-of-fact": ("Sent back.", "Not recommended.", "I will not buy {them} again.", "Disappointed."),
    },
}  # fmt: skip

HEADLINES: dict[str, Phrases] = {
    "good": (
        "Exactly my taste", "{Np}!", "Sold on {np}", "{Lovely_noun}", "Because of {np}", "Very happy", "Look at {np}",
        "A keeper",
        "{Np}, just right", "All about {np}", "Could not resist {np}", "{A_noun} after my own heart",
    ),
    "mixed": (
        "Fine, but", "Not quite", "Torn over {np}", "If it were not for {np}", "Could be worse", "Half convinced",
        "Yes and no",
    ),
    "bad": ("Not for me", "{Np}? No thanks", "A mistake", "Not my taste", "Put off by {np}", "Going back", "Sadly not"),
    "gift": ("A present", "For my {friend}", "Gift for my {friend}", "A gift, then"),
}  # fmt: skip

# The slots of a review, in the order in which they are said; what has nothing to say is left out.
PLANS: dict[str, tuple[tuple[str, ...], ...]] = {
    "good": (
        ("opener", "praise", "more", "closer"), ("praise", "more"), ("praise", "use"), ("opener", "praise"),
        ("praise",),
        ("story", "praise", "use"), ("kind", "praise", "more"), ("opener", "use", "praise"), ("praise", "story"),
        ("use", "praise", "closer"), ("story", "kind", "praise"), ("lately", "praise", "more"),
        ("praise", "lately", "closer"),
        ("opener", "praise", "more", "use", "closer"), ("praise", "kind"), ("story", "praise", "more", "closer"),
    ),
    "mixed": (
        ("praise", "but"), ("praise", "complaint", "closer"), ("complaint", "praise"), ("story", "praise", "complaint"),
        ("complaint", "closer"), ("use", "complaint", "closer"), ("praise", "use", "complaint"),
        ("complaint", "praise", "use", "closer"),
    ),
    "bad": (
        ("complaint", "closer"), ("story", "complaint"), ("complaint", "worse", "closer"), ("complaint", "not_kind"),
        ("complaint", "praise", "closer"), ("not_kind", "complaint", "closer"), ("complaint",),
        ("story", "complaint", "worse"),
    ),
}  # fmt: skip
