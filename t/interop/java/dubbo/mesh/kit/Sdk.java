package mesh.kit;

import java.lang.reflect.Field;
import java.net.InetAddress;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

import org.apache.dubbo.common.utils.NetUtils;
import org.apache.dubbo.config.ApplicationConfig;
import org.apache.dubbo.config.ArgumentConfig;
import org.apache.dubbo.config.MethodConfig;
import org.apache.dubbo.config.RegistryConfig;

/** What both sides have to tell Dubbo, whatever its version. */
final class Sdk {

    /**
     * Dubbo refuses "localhost" and everything that begins with "127." as the
     * address of a service and binds to all interfaces instead.  The address
     * as one decimal number is the same to the resolver, and passes.
     */
    static final String LOOPBACK = "2130706433";

    private Sdk() {
    }

    static ApplicationConfig application(String name) {
        ApplicationConfig application = new ApplicationConfig(name);
        application.setQosEnable(false);
        application.setLogger("jdk");
        return application;
    }

    /**
     * {@code registry=redis://127.0.0.1:6379} or {@code consul://...}, with
     * {@code user= password=}; {@code session=} is how long a record of Redis
     * lasts, in ms.  None without.
     */
    static RegistryConfig registry(Line line) {
        RegistryConfig registry = new RegistryConfig(line.get("registry", "N/A"));

        if (!line.has("registry")) {
            registry.setRegister(false);
            return registry;
        }

        registry.setUsername(line.get("user", null));
        registry.setPassword(line.get("password", null));
        registry.setUseAsConfigCenter(false);
        registry.setUseAsMetadataCenter(false);
        registry.setParameters(Map.of("session", line.get("session", "60000")));
        return registry;
    }

    /** says that the second argument of subscribe() is a callback */
    static MethodConfig subscribe() {
        ArgumentConfig argument = new ArgumentConfig();
        argument.setIndex(1);
        argument.setCallback(true);

        MethodConfig method = new MethodConfig();
        method.setName("subscribe");
        method.setArguments(new ArrayList<>(List.of(argument)));
        return method;
    }

    /** Keeps Dubbo from looking for, and announcing, the machine's own address. */
    static void stayOnLoopback() throws Exception {
        set("LOCAL_ADDRESS", InetAddress.getByAddress("localhost", new byte[] {127, 0, 0, 1}));
        set("HOST_ADDRESS", "127.0.0.1");
    }

    private static void set(String name, Object value) throws Exception {
        Field field = NetUtils.class.getDeclaredField(name);
        field.setAccessible(true);
        field.set(null, value);
    }
}
