"""The names that columns usually have, in English, German, French and Spanish, and those that tell the future."""

import re
import unicodedata
from collections.abc import Iterable

NAMES = {
    "user": "user userid customer customerid reviewerid memberid visitorid clientid buyer buyerid uid "
    "kundennummer kundennr kundenid kunde nutzerid nutzer benutzer kaufer idclient client clienteid idcliente cliente "
    "acheteur utilisateur usuario comprador",
    "item": "item itemid sku product productid article articleid asin parentasin movieid videoid ean gtin "
    "artikelnummer artikelnr artikelid artikel produktnummer produktid produkt iid productcode idproduit produitid "
    "produit refproduit reference idarticle idproducto productoid producto referencia articulo",
    "timestamp": "timestamp time datetime date createdat orderedat orderdate purchasedat boughtat eventtime "
    "unixreviewtime unixtime ts tdat day when bestelldatum kaufdatum bestelltam gekauftam datum zeitpunkt zeit "
    "datecommande datedecommande datedachat dateachat fechapedido fechacompra fechadecompra fecha",
    "rating": "rating stars score overall bewertung sterne note etoiles valoracion calificacion puntuacion estrellas "
    "nota",
    "review": "review reviewtext comment reviewbody text body kommentar rezension bewertungstext avis commentaire "
    "comentario resena opinion",
    "summary": "summary headline reviewtitle reviewsummary subject",
    "title": "title name productname prodname producttitle itemname label bezeichnung artikelbezeichnung artikelname "
    "produktname titel titre nom nomproduit nomduproduit libelle designation titulo nombre nombreproducto artikel "
    "produkt produit producto",
    "description": "description desc detaildesc productdescription longdescription shortdescription details plot "
    "beschreibung produktbeschreibung langtext kurztext descriptif descripcion",
    "categories": "categories category genres genre categorypath group category1 producttype productgroup department "
    "kategorie kategorien gruppe warengruppe artikelgruppe produktgruppe categorie rayon categoria categorias",
    "brand": "brand manufacturer maker vendor store marke hersteller marque fabricant marca fabricante",
    "price": "price saleprice listprice unitprice cost preis verkaufspreis stuckpreis einzelpreis prix prixunitaire "
    "precio preciounitario",
    "image": "image imagepath imagefile imageurl imurl photo picture pictureurl thumbnail poster cover img "
    "imagelink bild bilddatei bildurl bildlink foto imagen",
}
"""For each field the usual names, as `plain` writes them, the most usual first."""

_COUNTED = (
    r"bewertung|rezension|kommentar|verk[aä]uf|kauf|bestell|klick|aufruf|avis|notes?\b|commentaire|vente|vue|evaluation|"
    r"clic|opinion|resena|valoracion|venta|visita"
)
LEAKY = re.compile(
    r"avg|average|rank|sales|sold|views|likes|popul|count|num_?rat|rating_?num|bought|clicks|bestseller"
    r"|durchschn|mittlere|rang(?![a-z])|verkauft|verkaufe(?![a-z])|verkaufs?_?(?:zahl|menge)|gekauft|beliebt|aufrufe|klicks"
    r"|moyenn|classement|vendu|ventes|promedio|vendid|ventas|visitas"
    r"|(?:valoracion|calificacion|puntuacion|nota)(?:es|s)?[ _-]*media"
    rf"|(?:anzahl|zahl|nombre|nb|numero|num|total)[a-z]*[ _.-]*(?:de[ _-]|der[ _-]|d.)?(?:{_COUNTED})"
    r"|(?:bewertung|rezension|verkauf)[a-z]*[ _-]*(?:an)?zahl"
)
"""Figures counted over what people did, in names as `folded` writes them."""


def folded(name: str) -> str:
    """A name in small letters without accents."""
    parts = unicodedata.normalize("NFKD", name.lower().replace("ß", "ss").replace("ø", "durchschn "))
    return "".join(part for part in parts if not unicodedata.combining(part))


def plain(name: str) -> str:
    """A name as it is compared: letters and figures alone."""
    return re.sub(r"[^a-z0-9]", "", folded(name))


def column_for(field: str, names: Iterable[str]) -> str | None:
    """The column whose name is the usual one for a field; usual names come most usual first."""
    return next(iter(columns_for(field, names)), None)


def columns_for(field: str, names: Iterable[str]) -> list[str]:
    """All columns with a usual name for a field, the most usual first."""
    by_name = {plain(name): name for name in reversed(list(names))}
    return [by_name[usual] for usual in NAMES[field].split() if usual in by_name]


def tells_the_future(name: str) -> bool:
    """Whether a column of the catalogue may be counted from what people did later; a rating there is an average."""
    return bool(LEAKY.search(folded(name))) or plain(name) in NAMES["rating"].split()
