package mesh.kit;

import java.io.BufferedReader;
import java.io.File;
import java.io.InputStreamReader;
import java.lang.reflect.Method;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;

/**
 * Many consumers in one process.  Each is loaded anew with the whole SDK, so it
 * has its own connections and counts its requests from 1, as a process of its
 * own would.  Commands are those of {@link Consumer} with a first word more,
 * the name of the consumer.
 */
public final class Cells {

    private static final Map<String, Method> CELLS = new HashMap<>();

    private Cells() {
    }

    public static void main(String[] args) throws Exception {
        System.out.println("READY");

        BufferedReader in = new BufferedReader(
                new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String text = in.readLine(); text != null; text = in.readLine()) {
            int space = text.indexOf(' ');
            Method cell = cell(text.substring(0, space));
            Thread.currentThread().setContextClassLoader(cell.getDeclaringClass().getClassLoader());
            System.out.println(cell.invoke(null, text.substring(space + 1)));
            System.out.flush();
        }
        Runtime.getRuntime().halt(0);
    }

    private static Method cell(String name) throws Exception {
        Method cell = CELLS.get(name);
        if (cell == null) {
            String[] paths = System.getProperty("java.class.path").split(File.pathSeparator);
            URL[] urls = new URL[paths.length];
            for (int i = 0; i < paths.length; i++) {
                urls[i] = new File(paths[i]).toURI().toURL();
            }
            /* never closed: it lives as long as the process */
            ClassLoader loader = new URLClassLoader(name, urls, ClassLoader.getPlatformClassLoader());
            cell = loader.loadClass(Consumer.class.getName()).getMethod("answer", String.class);
            CELLS.put(name, cell);
        }
        return cell;
    }
}
