"""A card is text, whatever is in it."""

from html.parser import HTMLParser

from kernel_ext.card import Card, mistake


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.text += data


def test_neither_html_nor_escape_sequences_get_through():
    hostile = '<img src=x onerror="alert(1)">\x1b]52;c;eA==\x07\u202e&amp;'
    found = Tags(Card(hostile, hostile, hostile).html())
    assert set(found.tags) == {"div"}
    assert found.text.count('<img src=x onerror="alert(1)">␛]52;c;eA==␇\\u202e&amp;') == 3
    assert "\x1b" not in str(Card(hostile, hostile, hostile))


def test_the_text_twin_says_what_why_and_cure():
    assert str(Card("it failed", "no space", "make some")) == "it failed (no space)\n  → make some"
    assert str(Card("it ended")) == "it ended"


def test_only_a_card_of_an_error_hides_what_follows_it():
    assert "<style>" in Card("x", kind="error").html()
    assert "<style>" not in Card("x", kind="warning").html()


def test_a_mistake_of_ours_is_told_with_its_place():
    try:
        {}["x"]
    except KeyError as error:
        card = Card.of(mistake(error))
    assert card.what == "KeyError: 'x'"
    assert card.why.startswith("test_card.py, line ")
    assert (card.kind, "report it" in card.cure) == ("error", True)
