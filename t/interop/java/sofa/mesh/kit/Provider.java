package mesh.kit;

import java.util.List;

import com.alipay.remoting.BizContext;
import com.alipay.remoting.rpc.RpcServer;
import com.alipay.remoting.rpc.protocol.SyncUserProcessor;
import com.alipay.sofa.rpc.config.ApplicationConfig;
import com.alipay.sofa.rpc.config.ProviderConfig;
import com.alipay.sofa.rpc.config.RegistryConfig;
import com.alipay.sofa.rpc.config.ServerConfig;
import com.google.protobuf.StringValue;

import mesh.kit.api.Echo;
import mesh.kit.api.Plain;
import mesh.kit.api.Wrapped;

/**
 * A provider: {@code Provider port=N name=A services=,blue [idle=N] [plain=N]
 * [registry=consul://HOST:PORT] [weight=N]}.
 * The services are unique ids of {@link Echo}, VERSION:ID for another version than
 * 1.0; there is one more at the port idle=; {@link Wrapped} is served, too, and {@link Plain} by a bare
 * server of Bolt at plain=.  Prints "READY port".
 *
 * It ends when its standard input does, so it never outlives its test; SIGTERM
 * is SOFARPC's graceful stop.
 */
public final class Provider {

    private static RegistryConfig registry;
    private static int weight;

    private Provider() {
    }

    public static void main(String[] args) throws Exception {
        Line options = Line.parse("provider " + String.join(" ", args));
        String name = options.get("name", "provider");

        Sdk.stayOnLoopback();

        weight = options.number("weight", 100);
        if (options.has("registry")) {
            String[] url = options.get("registry").split("://");
            registry = new RegistryConfig().setProtocol(url[0]).setAddress(url[1]);
        }

        ServerConfig server = server(options.number("port", 0));
        for (String unique : options.get("services", "").split(",", -1)) {
            export(Echo.class, new SofaEcho((name + " " + unique).trim()), unique, server);
        }
        export(Wrapped.class, new Wrapping(), "", server);

        if (options.has("idle")) {
            export(Echo.class, new SofaEcho(name + " idle"), "idle",
                    server(options.number("idle", 0)));
        }

        if (options.has("plain")) {
            RpcServer plain = new RpcServer(Sdk.LOOPBACK, options.number("plain", 0));
            plain.registerUserProcessor(new PlainProcessor());
            plain.startup();
        }

        System.out.println("READY " + options.get("port"));
        System.out.flush();

        while (System.in.read() >= 0) {
            /* nothing is said to a provider */
        }
        Runtime.getRuntime().halt(0);
    }

    private static ServerConfig server(int port) {
        return new ServerConfig()
                .setProtocol("bolt")
                .setHost(Sdk.LOOPBACK)
                .setPort(port)
                /* 200 calls that wait for each other, and as many again */
                .setCoreThreads(400)
                .setMaxThreads(400)
                .setDaemon(true);
    }

    private static <T> void export(Class<T> type, T service, String unique, ServerConfig server) {
        int colon = unique.indexOf(':');
        String id = unique.substring(colon + 1);
        ProviderConfig<T> provider = new ProviderConfig<T>()
                .setApplication(new ApplicationConfig().setAppName("mesh-kit-provider"))
                .setInterfaceId(type.getName())
                .setVersion(colon < 0 ? "1.0" : unique.substring(0, colon))
                .setRef(service)
                .setServer(server)
                .setFilterRef(List.of(new Props(true)))
                .setRepeatedExportLimit(-1)
                .setWeight(weight)
                .setRegister(registry != null);
        /* null would do, but not for Consul's registry */
        if (!id.isEmpty()) {
            provider.setUniqueId(id);
        }
        if (registry != null) {
            provider.setRegistry(registry);
        }
        provider.export();
    }

    private static final class Wrapping implements Wrapped {

        @Override
        public StringValue echo(StringValue text) {
            return text;
        }

        @Override
        public StringValue fail(StringValue text) {
            throw new IllegalStateException(text.getValue());
        }
    }

    private static final class PlainProcessor extends SyncUserProcessor<Plain> {

        @Override
        public Object handleRequest(BizContext context, Plain request) {
            return new Plain(request.getText() + ", plainly");
        }

        @Override
        public String interest() {
            return Plain.class.getName();
        }
    }
}
