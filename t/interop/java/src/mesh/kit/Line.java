package mesh.kit;

import java.net.URLDecoder;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;

/** One line: a word, then name=value pairs, values percent-encoded. */
final class Line {

    final String word;
    private final Map<String, String> pairs = new LinkedHashMap<>();

    Line(String word) {
        this.word = word;
    }

    static Line parse(String text) {
        String[] parts = text.trim().split(" ");
        Line line = new Line(parts[0]);
        for (int i = 1; i < parts.length; i++) {
            int eq = parts[i].indexOf('=');
            line.pairs.put(parts[i].substring(0, eq),
                    URLDecoder.decode(parts[i].substring(eq + 1), StandardCharsets.UTF_8));
        }
        return line;
    }

    Line with(String name, Object value) {
        if (value != null) {
            pairs.put(name, value.toString());
        }
        return this;
    }

    boolean has(String name) {
        return pairs.containsKey(name);
    }

    String get(String name, String otherwise) {
        return pairs.getOrDefault(name, otherwise);
    }

    String get(String name) {
        String value = pairs.get(name);
        if (value == null) {
            throw new IllegalArgumentException(word + " needs " + name + "=");
        }
        return value;
    }

    int number(String name, int otherwise) {
        return has(name) ? Integer.parseInt(get(name)) : otherwise;
    }

    @Override
    public String toString() {
        StringBuilder text = new StringBuilder(word);
        pairs.forEach((name, value) -> text.append(' ').append(name).append('=')
                .append(URLEncoder.encode(value, StandardCharsets.UTF_8)));
        return text.toString();
    }
}
