import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.lucene.analysis.Analyzer;
import org.apache.lucene.analysis.TokenStream;
import org.apache.lucene.analysis.en.EnglishAnalyzer;
import org.apache.lucene.analysis.tokenattributes.CharTermAttribute;
import org.apache.lucene.document.Document;
import org.apache.lucene.document.Field;
import org.apache.lucene.document.StringField;
import org.apache.lucene.document.TextField;
import org.apache.lucene.index.DirectoryReader;
import org.apache.lucene.index.IndexWriter;
import org.apache.lucene.index.IndexWriterConfig;
import org.apache.lucene.index.Term;
import org.apache.lucene.search.BooleanClause;
import org.apache.lucene.search.BooleanQuery;
import org.apache.lucene.search.BoostQuery;
import org.apache.lucene.search.IndexSearcher;
import org.apache.lucene.search.ScoreDoc;
import org.apache.lucene.search.TermQuery;
import org.apache.lucene.search.similarities.BM25Similarity;
import org.apache.lucene.store.ByteBuffersDirectory;

/**
 * Lucene itself, as Anserini sets it up: EnglishAnalyzer (standard tokenizer, possessive filter, lower-case, 33 stop
 * words, Porter), BM25Similarity(0.9, 0.4), and a query that is one clause a distinct token, boosted by its count.
 *
 * Input: UTF-8 lines, `\\`, `\n`, `\r` and `\t` escaped. `tokens FILE` (one text a line) prints each line's tokens, joined by
 * tabs. `search CORPUS QUERIES K` (lines "id TAB text") prints "query TAB document TAB score", in full float precision.
 *
 *   mvn -q dependency:copy-dependencies -DoutputDirectory=jars
 *   java -cp 'jars/*' LuceneReference.java tokens texts.txt
 */
public class LuceneReference {
  static final Analyzer ANALYZER = new EnglishAnalyzer();

  public static void main(String[] words) throws IOException {
    PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
    if (words[0].equals("tokens")) {
      for (String line : lines(words[1])) out.println(String.join("\t", tokens(unescape(line))));
    } else {
      search(words[1], words[2], Integer.parseInt(words[3]), out);
    }
    out.flush();
  }

  static List<String> lines(String file) throws IOException {
    // Split at line feeds alone: other line separators may stand inside a text.
    String all = Files.readString(Path.of(file));
    return List.of((all.endsWith("\n") ? all.substring(0, all.length() - 1) : all).split("\n", -1));
  }

  static String unescape(String text) {
    StringBuilder plain = new StringBuilder();
    for (int at = 0; at < text.length(); at++) {
      char c = text.charAt(at);
      if (c != '\\') plain.append(c);
      else plain.append(switch (text.charAt(++at)) { case 'n' -> '\n'; case 'r' -> '\r'; case 't' -> '\t'; default -> '\\'; });
    }
    return plain.toString();
  }

  static List<String> tokens(String text) throws IOException {
    List<String> found = new ArrayList<>();
    try (TokenStream stream = ANALYZER.tokenStream("text", text)) {
      CharTermAttribute term = stream.addAttribute(CharTermAttribute.class);
      stream.reset();
      while (stream.incrementToken()) found.add(term.toString());
      stream.end();
    }
    return found;
  }

  static void search(String corpus, String queries, int k, PrintStream out) throws IOException {
    ByteBuffersDirectory directory = new ByteBuffersDirectory();
    BM25Similarity bm25 = new BM25Similarity(0.9f, 0.4f);
    try (IndexWriter writer = new IndexWriter(directory, new IndexWriterConfig(ANALYZER).setSimilarity(bm25))) {
      for (String line : lines(corpus)) {
        String[] parts = line.split("\t", 2);
        Document document = new Document();
        document.add(new StringField("id", parts[0], Field.Store.YES));
        document.add(new TextField("text", unescape(parts[1]), Field.Store.NO));
        writer.addDocument(document);
      }
      writer.forceMerge(1);
    }
    try (DirectoryReader reader = DirectoryReader.open(directory)) {
      IndexSearcher searcher = new IndexSearcher(reader);
      searcher.setSimilarity(bm25);
      for (String line : lines(queries)) {
        String[] parts = line.split("\t", 2);
        Map<String, Integer> counts = new LinkedHashMap<>();
        for (String token : tokens(unescape(parts[1]))) counts.merge(token, 1, Integer::sum);
        BooleanQuery.Builder query = new BooleanQuery.Builder();
        counts.forEach((token, count) ->
            query.add(new BoostQuery(new TermQuery(new Term("text", token)), count), BooleanClause.Occur.SHOULD));
        for (ScoreDoc hit : searcher.search(query.build(), k).scoreDocs) {
          String id = searcher.storedFields().document(hit.doc).get("id");
          out.println(parts[0] + "\t" + id + "\t" + (double) hit.score);
        }
      }
    }
  }
}
