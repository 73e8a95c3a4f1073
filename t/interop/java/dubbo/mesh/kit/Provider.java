package mesh.kit;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;

import org.apache.dubbo.config.ProtocolConfig;
import org.apache.dubbo.config.RegistryConfig;
import org.apache.dubbo.config.ServiceConfig;

import mesh.kit.api.Echo;

/**
 * A provider: {@code Provider port=N name=A services=,g1/:1.0.0,:2.0.0}, where a
 * service is {@code [group/][:version]} of {@link Echo}.  With {@code registry=}
 * (see {@link Sdk#registry}) and {@code weight=} it registers.  Prints "READY
 * port".
 *
 * It ends when its standard input does, so it never outlives its test; SIGTERM
 * is Dubbo's graceful stop (-Ddubbo.service.shutdown.wait=ms).
 */
public final class Provider {

    /* a ServiceConfig that nobody holds could be collected */
    private static final List<ServiceConfig<Echo>> SERVICES = new ArrayList<>();

    private Provider() {
    }

    public static void main(String[] args) throws Exception {
        Line options = Line.parse("provider " + String.join(" ", args));
        int port = options.number("port", 0);

        Sdk.stayOnLoopback();

        ProtocolConfig protocol = new ProtocolConfig("dubbo", port);
        protocol.setHost(Sdk.LOOPBACK);
        RegistryConfig registry = Sdk.registry(options);

        /* Consul takes 512 bytes of a URL */
        boolean brief = options.has("registry");
        if (!brief) {
            /* 200 calls that wait for each other, and as many again */
            protocol.setThreads(400);
            protocol.setQueues(1000);
            /* without this a 3.3 provider refuses a consumer that asks for fastjson2 */
            protocol.setParameters(Map.of("prefer.serialization", "hessian2,fastjson2"));
        }

        for (String key : options.get("services", "").split(",", -1)) {
            int slash = key.indexOf('/');
            int colon = key.indexOf(':');
            String label = options.get("name", "provider") + " " + key;

            ServiceConfig<Echo> service = new ServiceConfig<>();
            service.setApplication(Sdk.application("mesh-kit-provider"));
            service.setRegistry(registry);
            service.setRegister(brief);
            if (options.has("weight")) {
                service.setWeight(options.number("weight", 100));
            }
            service.setProtocol(protocol);
            service.setInterface(Echo.class);
            service.setRef(new DubboEcho(label.trim()));
            if (slash >= 0) {
                service.setGroup(key.substring(0, slash));
            }
            if (colon >= 0) {
                service.setVersion(key.substring(colon + 1));
            }
            if (!brief) {
                service.setMethods(new ArrayList<>(List.of(Sdk.subscribe())));
                service.setCallbacks(100);
            }
            service.export();
            SERVICES.add(service);
        }

        System.out.println("READY " + port);
        System.out.flush();

        while (System.in.read() >= 0) {
            /* nothing is said to a provider */
        }

        Runtime.getRuntime().halt(0);
    }
}
