package mesh.kit;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

import org.apache.dubbo.config.MethodConfig;
import org.apache.dubbo.config.ReferenceConfig;
import org.apache.dubbo.config.RegistryConfig;
import org.apache.dubbo.rpc.service.GenericService;

import mesh.kit.api.Echo;

/** One reference with a connection of its own. */
final class Client {

    final String name;
    final Echo echo;
    final GenericService generic;
    private final ReferenceConfig<Object> config = new ReferenceConfig<>();

    Client(Line line) {
        name = line.get("name");

        config.setApplication(Sdk.application("mesh-kit-consumer"));
        config.setRegistry(new RegistryConfig("N/A"));
        config.setInterface(Echo.class.getName());
        config.setUrl(url(line));
        config.setCheck(false);
        config.setTimeout(line.number("timeout", 5000));
        config.setRetries(line.number("retries", 0));
        config.setCluster("failover");
        /* references without this share one connection per address */
        config.setConnections(1);
        if (line.has("group")) {
            config.setGroup(line.get("group"));
        }
        if (line.has("version")) {
            config.setVersion(line.get("version"));
        }

        Map<String, String> parameters = new HashMap<>();
        if (line.has("serialization")) {
            parameters.put("serialization", line.get("serialization"));
            parameters.put("prefer.serialization", line.get("serialization"));
        }
        if (line.has("heartbeat")) {
            parameters.put("heartbeat", line.get("heartbeat"));
        }
        config.setParameters(parameters);

        if (line.has("generic")) {
            config.setGeneric(line.get("generic"));
            generic = (GenericService) config.get();
            echo = null;
            return;
        }

        MethodConfig fire = new MethodConfig();
        fire.setName("fire");
        fire.setReturn(false);
        config.setMethods(new ArrayList<>(List.of(fire, Sdk.subscribe())));

        echo = (Echo) config.get();
        generic = null;
    }

    void destroy() {
        config.destroy();
    }

    /** addresses separated by commas; Dubbo wants ';' between direct URLs */
    private static String url(Line line) {
        List<String> urls = new ArrayList<>();
        for (String address : line.get("address").split(",")) {
            /*
             * A provider's URL in a registry says which arguments are callbacks
             * and how many there may be on one connection; a direct URL has to
             * say so itself.  3.3 wants it in the reference's methods, too.  2.7
             * takes the cluster from here when there are several URLs.
             */
            urls.add("dubbo://" + address + "/" + Echo.class.getName()
                    + "?cluster=failover&methods=subscribe&subscribe.1.callback=true&callbacks=100");
        }
        return String.join(";", urls);
    }
}
