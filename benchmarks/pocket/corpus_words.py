"""The words the base model's random schemas are made of: everyday nouns and adjectives, and invented ones."""

from __future__ import annotations

from random import Random

NOUNS = (
    "anchor antenna apron arch archive arrow artist badge bag ball banner barrel basin basket battery bay bead beam bean "
    "bell belt bench bicycle bill blade blanket block board boat bolt bond bone boot bottle bowl box bracket branch brick "
    "bridge broker brush bucket budget builder bulb bus button cabin cabinet cable camera camp canal candle canvas cap "
    "carpet cart cartoon case castle catalog cell chain chair chalk channel chapter charm chart chest circle circuit clerk "
    "cliff clinic clock cloud coach coat coin collar colony comet contract cook copper cord corner cottage council "
    "counter county course court cousin crane crate creek crew crown cup curtain curve cushion cycle dam deal deck deer "
    "deposit depot desk device diary dial diploma disk district ditch dock doll donor door dress drill drum duct dune "
    "eagle edge effort egg elder engine entry envelope error essay estate event exam exit export fabric factor factory fair "
    "fan fence fiber figure file filter finger fire flag flame flask floor flute folder forest fork form fort fossil frame "
    "friend fund funnel fuse galaxy garden gate gauge gear gem giant gift glass globe glove grain grant graph grid "
    "guard guide gun hammer handle hat hatch head heater hedge helmet herb hero hinge hook horn horse hose house hub hut "
    "inlet insect island jacket jar jewel joint journal judge jug junction kernel kiosk kitchen kit knife knot "
    "label ladder lagoon lake lamp lane lantern lawyer layer leader leaf league lens lesson letter lever license lid lift "
    "limb line link lock lodge log loop lot machine mail manager manor map marker market mask mast mat meal medal meeting "
    "menu merchant message meter mill mine mirror mission mixer module monitor mosaic motor mountain museum nail needle "
    "nest net node note notice nurse oak object offer office option organ outlet oven owner packet page paint pair palace "
    "panel paper parcel park part partner patch path pattern peak pedal pen pencil permit phone piano picture pier pigment "
    "pile pilot pin pipe pit place plan planet plant plate platform plot pocket poem point pole pond pool post pot print "
    "prize probe process program prop pulley pump pupil puzzle pyramid quarter quilt quiz race rack radar radio raft rail "
    "ramp ranch range ray reader recipe record region relay rental report reserve review ribbon ridge ring river road robe "
    "robot rod roof root rope route ruler saddle sail sale salon sample satellite saw scale scarf scene school scout screen "
    "screw script seal season seat sector seed sensor server session shaft shed sheet shelf shell shield shift ship shirt "
    "shop shore shower sign signal sink sketch skill sled sleeve slot smith snake sock soldier source spear spoon spot "
    "spring square stable stack stadium staff stage stair stall stamp stand statue step stick stock stone storm story stove "
    "strap stream street string studio style suit survey swamp switch sword symbol system tablet tag tail tailor tank tap "
    "target task tax teacup team temple tenant tent term test thread throne tile timer tire title tool tooth torch tour "
    "tower town toy track tractor trade trail train trap tray treaty tree trench trial tribe trip trophy truck trunk tube "
    "tunnel tutor twin unit urn vacuum valley valve van vault vase vendor venue vest villa village violin visit voice "
    "volume vote voucher wagon walk wall wallet watch wave wheel whistle wick widget wing wire witness wolf worker yard zone"
).split()
ADJECTIVES = (
    "active amber annual basic black blue bold brief bright broad bronze brown busy calm central clean clear coarse cold "
    "common cool daily damp dark deep dense digital direct double dry dull dusty early empty exact external faint fast final "
    "fine firm flat foreign formal free fresh full gentle global gold grand gray green hard heavy hidden high hollow "
    "internal joint junior just keen large late lean legal light linear little local long loose loud low main major manual "
    "master minor mobile modern moist narrow native near net new noble north odd old open outer pale past plain polar "
    "primary prime private public pure quick quiet rapid rare raw ready red regular rich rough round royal rural safe "
    "scarlet second senior sharp shiny short silent silver simple single slow small smooth soft solid south spare special "
    "stable steep stiff strong sweet swift tall tender thick thin third tight tiny total upper urban vague valid vast warm "
    "weak west wet white whole wide wild yellow young"
).split()
MEASURES = (
    "amount area balance bonus capacity charge cost count degree delay density depth discount distance duration effort "
    "energy fee frequency gain height hours income interest length level load loss margin mass minutes number output "
    "pages percent points power pressure price profit quantity quota rank rate ratio rating reach revenue salary score seats "
    "share size speed stock strength sum temperature total value volume votes wage weight width yield age year"
).split()
TRAITS = (
    "name title label code status type kind category color city country region state gender grade class role model brand "
    "material shape origin author owner address language phase priority department sector theme style email unit "
    "position rank_name nickname section series format method mode reason source target topic"
).split()
DATES = (
    "date day created_on start_date end_date updated_at due_date opened closed_on issued_on arrival birthday".split()
)
FUNCTION_WORDS = (
    "the a an of for to in on by with and or not is are was be has have had do does that which who whose where what when how "
    "many much than then all any each every from at as it its their them those these this there into per more less most "
    "least other no also only but so if between after before over under"
).split()
PREPOSITIONS = "in on at by of from to until per with".split()
LEADS = (
    "show|show me|list|list out|give|give me|find|find me|display|please show|please give|please list|can you tell me|"
    "could you list|I need|I would like|I want to see|we want|we would like to know|tell us|tell me|let me see|let us have|"
    "report|provide|output|look up|search for|determine|what is|what are|which are|query|select|obtain|extract|return|get|"
    "fetch|print|present|name|identify|write out|read out|produce|pull|pull up|retrieve|see|view|compute|calculate|work out"
).split("|")
ORDERS = "please|now|I want to|we need to|can you|could you|you should|go ahead and|time to|kindly|let us".split("|")
FILLERS = "please also now here then just overall exactly again simply in total right currently too really only".split()
MARKS = (
    "question request task prompt query input ask problem user want goal need intent message instruction text human todo "
    "wish Q"
).split()
REPLIES = "sql answer statement output reply response result code solution assistant query SQL A".split()
STARTS = "b br c ch cl d dr f fl g gl gr h j k kl l m n p pl pr qu r s sh sk sl sp st t tr v w z".split()
MIDDLES = "a e i o u ai ea ee io oa ou".split()
ENDS = "b ck d f g l ll m n nd ng nt p r rk rn s sk ss st t th v x z".split()


PREFIXES = "re con dis pre un inter trans over out sub de ex in per pro com be for mis up".split()
SUFFIXES = (
    "tion ment ness ity er or ing ed al ous ive ance ence ship age ism ist ure ate ize ary ful less ly ish ant ent able ible "
    "ical ule ude ulty ight ough tude ine oke umn ype"
).split()
LETTERS = "abcdefghijklmnopqrstuvwxyzaeiou"
PIECES: list[str] = []
"""Letter groups of the tokenizer, once there is one: words made of them teach every token to be copied."""


def syllables(r: Random, count: int) -> str:
    """Onset and vowel, `count` times."""
    return "".join(r.choice(STARTS) + r.choice(MIDDLES) for _ in range(count))


def invented(r: Random) -> str:
    """A word nobody has seen: syllables, an English-looking derivation, tokens at random, or letters at random."""
    roll = r.random()
    if roll < 0.3:
        word = syllables(r, r.choice((1, 2, 2))) + (r.choice(ENDS) if r.random() < 0.7 else r.choice("aeo"))
    elif roll < 0.6 or (roll < 0.9 and not PIECES):
        head = r.choice(PREFIXES) if r.random() < 0.5 else ""
        word = head + syllables(r, 1) + r.choice(ENDS) + r.choice(SUFFIXES)
    elif roll < 0.9:
        word = "".join(r.choice(PIECES) for _ in range(r.choice((2, 2, 3, 3, 4))))
    else:
        word = "".join(r.choice(LETTERS) for _ in range(r.choice((3, 4, 5, 6))))
    return word if len(word) > 2 else invented(r)
