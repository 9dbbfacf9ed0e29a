"""Golden stems of the languages of BM25's analyzers: src/search/goldens/snowball.json.

    pip install snowballstemmer==2.2.0 && python reference/snowball.py
"""

import json

import snowballstemmer

WORDS = {
    'danish': 'bøger husene løberne kærlighed arbejdede undersøgelser',
    'dutch': 'lichamelijkheden opglimlachten huizen boeken gelopen werkzaamheden',
    'finnish': 'edeltäjiinsä taloissa kirjojen juoksemassa rakastettu',
    'french': 'continuellement chevaux maisons mangeaient finissons beauté',
    'german': 'aufeinanderfolgenden häuser straße bücher kategorischen läuft',
    'hungarian': 'házakban babakocsijáért könyveket szeretem embereknek',
    'italian': 'abbandonata pronunciando case libri mangiavano città',
    'norwegian': 'havnedistriktene husene bøkene kjærlighet arbeidet',
    'portuguese': 'quilométricas casas livros comiam informações',
    'romanian': 'alegerilor caselor cărțile frumoase lucrau',
    'russian': 'важнейшими домами книгами бежали красота',
    'spanish': 'cheques torneado casas libros comían canción',
    'swedish': 'jaktkarlarne husen böckerna kärlekens arbetade',
    'turkish': 'kitapları evlerinde geliyorum güzellik İstanbul',
}


def lower(language: str, word: str) -> str:
    return word.replace('İ', 'i').lower() if language == 'turkish' else word


if __name__ == '__main__':
    stems = {
        language: [[word, snowballstemmer.stemmer(language).stemWord(lower(language, word))] for word in words.split()]
        for language, words in WORDS.items()
    }
    with open('src/search/goldens/snowball.json', 'w', encoding='utf-8') as file:
        json.dump(stems, file, ensure_ascii=False, indent=0)
