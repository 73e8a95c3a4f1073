package mesh.kit;

import org.apache.dubbo.config.ProtocolConfig;
import org.apache.dubbo.config.ServiceConfig;

import com.example.Greeter;

/**
 * A provider of the demo: {@code DemoProvider port=N name=v1}, which registers
 * with {@code registry=}.  Prints "READY" and ends with its standard input, or
 * gracefully when it gets a SIGTERM.
 */
public final class DemoProvider {

    private DemoProvider() {
    }

    public static void main(String[] args) throws Exception {
        Line options = Line.parse("provider " + String.join(" ", args));
        String name = options.get("name");

        Sdk.stayOnLoopback();

        ProtocolConfig protocol = new ProtocolConfig("dubbo", options.number("port", 0));
        protocol.setHost(Sdk.LOOPBACK);

        Greeter greeter = who -> "Hello " + who + ", this is " + name;

        ServiceConfig<Greeter> service = new ServiceConfig<>();
        service.setApplication(Sdk.application("demo-provider"));
        /* without registry= the application's own settings count, if it has any */
        if (options.has("registry") || System.getProperty("dubbo.registry.address") == null) {
            service.setRegistry(Sdk.registry(options));
            service.setRegister(options.has("registry"));
        }
        service.setProtocol(protocol);
        service.setInterface(Greeter.class);
        service.setVersion("1.0.0");
        service.setRef(greeter);
        service.export();

        System.out.println("READY");
        System.out.flush();

        while (System.in.read() >= 0) {
            /* nothing is said to a provider */
        }

        Runtime.getRuntime().halt(0);
    }
}
