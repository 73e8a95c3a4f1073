package mesh.kit.api;

import com.google.protobuf.StringValue;

/** {@link Echo} in messages of protobuf. */
public interface Wrapped {

    StringValue echo(StringValue text);

    /** Fails with this text. */
    StringValue fail(StringValue text);
}
