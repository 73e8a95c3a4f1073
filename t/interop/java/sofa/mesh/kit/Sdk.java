package mesh.kit;

import com.alipay.sofa.rpc.common.SystemInfo;

/** What both sides have to tell the SDK. */
final class Sdk {

    static final String LOOPBACK = "127.0.0.1";

    private Sdk() {
    }

    /** Servers do as they are told, but registries get the machine's address. */
    static void stayOnLoopback() {
        SystemInfo.setLocalHost(LOOPBACK);
    }
}
